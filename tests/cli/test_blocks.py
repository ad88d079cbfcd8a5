"""``edgegate quantize`` with block formats: the model that comes out, the report, the picture, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.cli import models

ROOT = Path(__file__).parents[2]
WIDE = """g (float[N, 64] x) => (float[N, 3] y) < float[1] up = {0}, float[1] gate = {0}, float[1] down = {0} > {
    a = MatMul(x, up) b = MatMul(x, gate) s = Sigmoid(b) h = Mul(a, s) y = MatMul(h, down)
}"""
"""A gated linear unit that has blocks of 32, and a layer after it."""


@pytest.fixture
def arrays(folder):
    """net.onnx, c.npz with what it will see, and the weights."""
    rng = np.random.default_rng(0)
    shapes = {"up": (64, 32), "gate": (64, 32), "down": (32, 3)}
    made = {name: rng.normal(size=shape).astype(np.float32) / 8 for name, shape in shapes.items()}
    models.write(folder / "net.onnx", WIDE, **made)
    made["x"] = (rng.normal(size=(64, 64)) * np.exp(rng.normal(size=64))).astype(np.float32)
    np.savez(folder / "c.npz", x=made["x"])
    return made


def exact(arrays):
    value, gate = arrays["x"] @ arrays["up"], arrays["x"] @ arrays["gate"]
    return (value / (1 + np.exp(-gate))) @ arrays["down"]


def answer(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])


def test_a_model_in_blocks_and_its_report(edgegate, folder, arrays):
    done = edgegate.good("quantize", "net.onnx", "--calib", "c.npz", "--format", "bfp12", "--report", "r.json")
    found = json.loads((folder / "r.json").read_text())
    assert [(row["name"], row["format"], row["activations"]) for row in found["layers"]] == [
        (name, "bfp12", "bfp12") for name in "aby"
    ]
    assert all(row["sqnr"].keys() == {"identity", "hadamard", "wush_diag", "wush"} for row in found["layers"][:2])
    assert found["layers"][2]["sqnr"].keys() == {"identity"}  # of 3 outputs: any transform costs too much
    assert all(0 < row["rho"] <= 1 for row in found["layers"])
    assert all(row["sqnr_after"] >= row["sqnr_before"] > 5 for row in found["layers"])
    assert found["totals"]["float_bytes"] == 4 * (2 * 64 * 32 + 32 * 3)
    assert found["totals"]["weight_bytes"] == (2 * 64 + 3) * 32 * 17 // 32
    assert [line.split()[0] for line in done.lines] == ["layer", *"aby", "weights:", "transforms", "net.qdq.onnx:"]
    wanted = exact(arrays)
    error = np.square(answer(folder / "net.qdq.onnx", arrays["x"]) - wanted).sum() / np.square(wanted).sum()
    assert error < 0.05


@pytest.mark.parametrize("form", ["qdq", "qdq-native"])
def test_the_model_is_of_standard_ops(edgegate, folder, arrays, form):
    edgegate.good("quantize", "net.onnx", "--format", "mxfp4:none", "--form", form, "-o", "m.onnx")
    model = onnx.load(folder / "m.onnx")
    onnx.checker.check_model(model)
    assert {opset.domain for opset in model.opset_import} == {""}
    assert not model.functions
    assert "DequantizeLinear" in {node.op_type for node in model.graph.node}
    codes = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer}
    assert ("FLOAT4E2M1" in codes) == (form == "qdq-native")


def test_other_layers_stay_in_int8(edgegate, folder, arrays):
    done = edgegate.good(
        "quantize", "net.onnx", "--format", "mxfp4", "--format", "y=int8", "--format", "b.w*=mxint8", "--json"
    )
    layers = json.loads(done.out)["report"]["layers"]
    assert {row["name"]: row["format"] for row in layers} == {"a": "mxfp4", "b": "mxint8", "y": "int8"}


def test_a_layer_that_blocks_do_not_fit_says_why(edgegate, folder, arrays):
    lines = edgegate.good("quantize", "net.onnx", "--format", "bfp12_b64").lines
    assert next(line for line in lines if line.startswith("y ")).endswith(
        "32 input channels would fill half of a block of 64 at most"
    )


def test_a_scheme_of_blocks_is_followed_to_the_byte(edgegate, folder, arrays):
    options = ["--form", "qdq", "--scheme-out"]
    edgegate.good("quantize", "net.onnx", "--calib", "c.npz", "--format", "bfp12", *options, "s.json", "-o", "a")
    done = edgegate.good("quantize", "net.onnx", "--scheme", "s.json", *options, "t.json", "-o", "b", "--plot", "p.svg")
    assert done.lines == (f"b: {(folder / 'b').stat().st_size} bytes",)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    assert (folder / "s.json").read_bytes() == (folder / "t.json").read_bytes()
    assert b"there is nothing to draw" in (folder / "p.svg").read_bytes()


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_picture(edgegate, folder, arrays, kind):
    for name in ("a", "b"):
        edgegate.good("quantize", "net.onnx", "--format", "mxfp4", "--plot", f"{name}.{kind}", "-o", "m")
    assert len((folder / f"a.{kind}").read_bytes()) > 5000
    assert (folder / f"a.{kind}").read_bytes() == (folder / f"b.{kind}").read_bytes()


REFUSED = {
    "'nothing*' matches no layer": (["--format", "nothing*=mxfp4"], ["--format", "nothing*=int8"]),
    "did you mean 'y.weight'": (["--format", "y.weigth=mxfp4"],),
    "PATTERN=FORMAT": (["--format", "=mxfp4"],),
    "auto, none, hadamard, wush-diag, wush, got 'wish'": (["--transform", "wish"],),
    "0, 4, 5, 6, 7, 8, got 3": (["--transform-bits", "3"],),
    "nearest, gptq, got 'up'": (["--rounding", "up"],),
    "integer, qdq, qdq-native, got 'float'": (["--form", "float"],),
    "a plot is a .png, .svg or .pdf file": (["--plot", "p.jpg"], ["--plot", "p"]),
    "two outputs": (["--plot", "p.png", "--report", "p.png"],),
    "input": (["--plot", "c.npz", "--calib", "c.npz"],),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(edgegate, arrays, words):
    for arguments in REFUSED[words]:
        (line,) = edgegate.refused(2, "quantize", "net.onnx", *arguments)
        assert words in line


@pytest.mark.parametrize("command", ["quantize", "compile"])
@pytest.mark.parametrize(
    ("name", "near"),
    [("bpf12", "bfp12"), ("mxfp44", "mxfp4"), ("y=mxfp3", "mxfp4"), ("mxfp4:mxint4", "mxint8"), ("w4a8", ""), ("", "")],
)
def test_unknown_formats(edgegate, folder, arrays, command, name, near):
    done = edgegate(command, "net.onnx", "--format", name)
    assert (done.code, done.out) == (2, "")
    (line,) = done.lines
    assert line.startswith("error: no block format is called ")
    assert ("did you mean" in line) == bool(near)
    assert near in line.partition("did you mean")[2].partition("?")[0]
    assert sorted(os.listdir(folder)) == ["c.npz", "net.onnx"]


@pytest.mark.parametrize("arguments", [["--format", "nothing*=mxfp4"], ["--rounding", "up"], ["--transform", "wish"]])
def test_what_compilation_refuses(edgegate, arrays, arguments):
    edgegate.refused(2, "compile", "net.onnx", *arguments)


def test_a_picture_needs_matplotlib_and_says_so_first(folder, arrays):
    before = sorted(os.listdir(folder))
    program = [sys.executable, "-m", "tests.cli.without", "matplotlib", "quantize", "net.onnx", "--plot", "p.png"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == 'error: matplotlib is not installed: pip install "edgegate-compiler[compile]"\n'
    assert sorted(os.listdir(folder)) == before
