"""``--keys``: attention with its queries and keys in blocks, from the command line."""

import json
from dataclasses import asdict

import numpy as np
import onnx
import pytest

from edgegate.cli.table import MOST, table
from edgegate.plots import products
from edgegate.quant.attention_report import AttentionReport
from tests.cli import models

ATTENTION = """g (float[1, 6, 32] x) => (float[1, 6, 64] y) < float[1] q = {0}, float[1] k = {0}, float[1] v = {0},
    int64[4] heads = {1, 6, 2, 32}, int64[3] flat = {1, 6, 64}, float half = {0.125}
> {
    qx = MatMul(x, q) kx = MatMul(x, k) vx = MatMul(x, v)
    qh = Reshape(qx, heads) kh = Reshape(kx, heads) vh = Reshape(vx, heads)
    qt = Transpose <perm = [0, 2, 1, 3]> (qh) kt = Transpose <perm = [0, 2, 3, 1]> (kh)
    vt = Transpose <perm = [0, 2, 1, 3]> (vh) scores = MatMul(qt, kt) scaled = Mul(scores, half)
    weights = Softmax <axis = -1> (scaled) mixed = MatMul(weights, vt)
    back = Transpose <perm = [0, 2, 1, 3]> (mixed) y = Reshape(back, flat)
}"""
"""Two heads of 32 channels, without positions."""


@pytest.fixture
def net(folder):
    """net.onnx, two of its keys' channels loud in each head, and c.npz."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(32, 64)).astype(np.float32) / 6 for name in "qkv"}
    weights["k"][:, [3, 8, 40, 60]] *= 20
    models.write(folder / "net.onnx", ATTENTION, **weights)
    np.savez(folder / "c.npz", x=rng.normal(size=(8, 6, 32)).astype(np.float32))
    return folder / "net.onnx"


KEYS = ("--keys", "bfp12:bfp16")


@pytest.mark.parametrize("calib", ["none", "c.npz"])
def test_logits_are_told_in_the_table_and_the_report(edgegate, folder, net, calib):
    done = edgegate.good("quantize", "net.onnx", *KEYS, "--calib", calib, "--report", "r.json", "--plot", "p.svg")
    (entry,) = json.loads((folder / "r.json").read_text())["attention"]
    assert entry["groups"] == ["scale", "scale"] and entry["sqnr_after"] > entry["sqnr_before"] + 5
    assert done.lines[0] == (
        f"kx: keys bfp12 (4.25 bits), queries bfp16; scale of 2; "
        f"logits {entry['sqnr_before']:.1f} -> {entry['sqnr_after']:.1f} dB"
    )
    assert done.lines[1].startswith("net.qdq.onnx: ")
    assert b"logits of attention, at worst" in (folder / "p.svg").read_bytes()
    model = onnx.load(folder / "net.qdq.onnx")
    onnx.checker.check_model(model)
    assert {opset.domain for opset in model.opset_import} == {""}


def test_a_scheme_is_followed_to_the_byte(edgegate, folder, net):
    options = ["--form", "qdq", "--scheme-out"]
    edgegate.good("quantize", "net.onnx", *KEYS, "--format", "bfp12", *options, "s.json", "-o", "a")
    edgegate.good("quantize", "net.onnx", "--scheme", "s.json", *options, "t.json", "-o", "b")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    assert (folder / "s.json").read_bytes() == (folder / "t.json").read_bytes()
    for command in (("quantize", "net.onnx"), ("compile", "net.onnx")):
        (line,) = edgegate.refused(3, *command, "--scheme", "s.json")
        assert "no integer form" in line


def test_a_scheme_of_gptq_cannot_be_followed(edgegate, folder, net):
    options = ["--format", "bfp12", "--rounding", "gptq", "--calib", "c.npz", "--form", "qdq"]
    edgegate.good("quantize", "net.onnx", *options, "--scheme-out", "s.json")
    (line,) = edgegate.refused(3, "quantize", "net.onnx", "--scheme", "s.json", "--form", "qdq")
    assert "rounded by gptq" in line and "quantize again from the model and its calibration data" in line


def test_what_is_refused(edgegate, folder, net):
    (line,) = edgegate.refused(3, "compile", "net.onnx", *KEYS)
    assert line == (
        "keys bfp12:bfp16: products of queries and keys in blocks have no integer form; "
        "leave keys at none, or quantize with the form qdq"
    )
    assert edgegate.refused(3, "quantize", "net.onnx", *KEYS, "--form", "integer") == [line]
    (line,) = edgegate.refused(2, "quantize", "net.onnx", "--keys", "bpf12")
    assert "did you mean bfp12" in line
    models.write(folder / "net.onnx")
    (line,) = edgegate.refused(2, "quantize", "net.onnx", *KEYS)
    assert "the model multiplies no queries with keys" in line


def test_a_line_per_product():
    done = AttentionReport(
        name="s", keys="block.k", query_format="bfp16", key_format="bfp12", groups=("scale", "none", "scale"),
        ratios=(0.5, 1.0, 0.5), rotary="half", sqnr_before=10.0, sqnr_after=12.04, bits_per_key=4.25, vectors="gamma",
    )  # fmt: skip
    left = AttentionReport(name="t", key_format="bfp12", bits_per_key=4.25, reason="it comes from\x1b Tanh")
    found = {"attention": [asdict(done), asdict(left)]}
    assert table(found) == [
        "block.k: keys bfp12 (4.25 bits), queries bfp16; scale of 2, none of 1; logits 10.0 -> 12.0 dB",
        r"t: keys bfp12 (4.25 bits), queries float; not sorted: it comes from\x1b Tanh",
    ]
    assert products(found) == "; logits of attention, at worst: 10.0 dB, 12.0 with keys scaled and sorted"
    assert products({"attention": [asdict(left)]}) == products({}) == ""
    assert table({"attention": [asdict(left)] * (MOST + 3)})[-1] == "... and 3 products more: --report tells of all"
