"""A language model in ONNX, tokens in: quantized in blocks from a file of tokens, or from none."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

WORDS, WIDTH, LENGTH = 50, 64, 6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding with loud channels, a norm, two layers and the logits."""
    rng = np.random.default_rng(0)
    gain = rng.uniform(0.5, 1.5, WIDTH).astype(np.float32)
    gain[7] = 20
    arrays = {
        "table": rng.standard_normal((WORDS, WIDTH)), "gain": gain, "bias": np.zeros(WIDTH),
        "gate": rng.standard_normal((WIDTH, 96)) / 8, "up": rng.standard_normal((WIDTH, 96)) / 8,
        "down": rng.standard_normal((96, WIDTH)) / 10, "head": rng.standard_normal((WIDTH, WORDS)) / 8,
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("LayerNormalization", ["x", "gain", "bias"], ["y"]),
        helper.make_node("MatMul", ["y", "gate"], ["g"]), helper.make_node("MatMul", ["y", "up"], ["u"]),
        helper.make_node("Sigmoid", ["g"], ["s"]), helper.make_node("Mul", ["g", "s"], ["a"]),
        helper.make_node("Mul", ["a", "u"], ["h"]), helper.make_node("MatMul", ["h", "down"], ["d"]),
        helper.make_node("Add", ["x", "d"], ["z"]), helper.make_node("MatMul", ["z", "head"], ["logits"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "lm", [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", LENGTH])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", LENGTH, WORDS])],
        [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in arrays.items()],
    )  # fmt: skip
    target = tmp_path_factory.mktemp("lm") / "llm.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), target)
    return target


def sqnr(path: Path, other: Path) -> float:
    """Of the logits of one file against those of another, on unseen tokens, in dB."""
    ids = np.random.default_rng(5).integers(0, WORDS, (1, LENGTH))
    wanted, got = (ort.InferenceSession(p).run(None, {"ids": ids})[0] for p in (path, other))
    return float(10 * np.log10(np.square(wanted).sum() / np.square(got - wanted).sum()))


@pytest.mark.parametrize("data", ["tokens", "none"])
def test_tokens_are_quantized_in_blocks(path, data, edgegate):
    calib, found = "none", {}
    if data == "tokens":
        calib = str(path.parent / "tokens.npz")
        np.savez(calib, ids=np.random.default_rng(1).integers(0, WORDS, (64, LENGTH)))
    for transform in ("none", "wush-diag", "wush"):
        target = path.parent / f"{data}.{transform}.onnx"
        how = ("--format", "mxfp4", "--transform", transform, "--calib", calib)
        edgegate.good("quantize", str(path), *how, "-o", str(target))
        found[transform] = sqnr(path, target)
    assert found["wush-diag"] > found["none"] + 0.5
    assert found["wush"] > found["none"] + 0.5


def test_a_program_takes_tokens(path, edgegate):
    target, tokens = path.parent / "lm.egate", path.parent / "few.npz"
    ids = np.random.default_rng(5).integers(0, WORDS, (1, LENGTH))
    np.savez(tokens, ids=ids)
    edgegate.good("compile", str(path), "--format", "w4a8_bfp", "-o", str(target))
    edgegate.good("run", str(target), "--input", str(tokens), "--output", str(path.parent / "y.npz"))
    found = np.load(path.parent / "y.npz")["logits"]
    wanted = ort.InferenceSession(path).run(None, {"ids": ids})[0]
    assert 10 * np.log10(np.square(wanted).sum() / np.square(found - wanted).sum()) > 15
