"""Transforms in integers: exact sums, near the float model, one answer from the interpreter and ONNX Runtime."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.graph import matches, shape
from edgegate.passes import INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.passes.to_linear import to_linear
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.quant.insert_transform import insert_transform, sylvester
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import layers
from edgegate.stages import integer
from tests.passes.text import parse

WEIGHTS = ", ".join(map(str, np.random.default_rng(0).standard_normal(24 * 3).round(3)))
LINEAR = f"g (float[2,24] x) => (y) <float[24,3] w = {{{WEIGHTS}}}, float[3] b = {{1, 2, 3}}> {{ y = Gemm (x, w, b) }}"
CONV = f"""g (float[1,24,4,4] x) => (y) <float[3,24,1,1] w = {{{WEIGHTS}}}, float[3] b = {{1, 2, 3}}> {{
    r = Relu (x)
    y = Conv <pads = [0, 0, 0, 0], strides = [1, 1], dilations = [1, 1], group = 1> (r, w, b)
}}"""
MATRICES = {
    "hadamard": sylvester(8)[None],
    "matrix": np.random.default_rng(1).integers(-31, 32, (3, 8, 8)),
    "wide": np.random.default_rng(1).integers(-300, 301, (3, 8, 8)),
}


def transformed(text: str, kind: str) -> ir.Model:
    model = parse(text)
    to_linear(model)
    (layer,) = layers(model)
    value = layer.node.inputs[0]
    assert value is not None
    label = "hadamard" if kind == "hadamard" else "matrix"
    insert_transform(model, value, [layer.node], MATRICES[kind], label, layer.channel_axis)
    return model


def feeds(model: ir.Model, count: int) -> list[dict[str, np.ndarray]]:
    rng, (x,) = np.random.default_rng(2), model.graph.inputs
    return [{str(x.name): rng.standard_normal(shape(x)).astype(np.float32)} for _ in range(count)]


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])


def noise(model: ir.Model, scheme: Scheme) -> float:
    """dB of the float model over its difference from the integer one, whose two engines agree to the bit."""
    data = feeds(model, 8)
    floats = session(model)
    wanted = [floats.run(None, feed)[0] for feed in data]
    to_integer(scheme)(model)
    run(model, INTEGER, integer)
    exact = session(model)
    error = power = 0.0
    for feed, want in zip(data, wanted, strict=True):
        (got,) = interpreter.run(model, feed).values()
        np.testing.assert_array_equal(got, exact.run(None, feed)[0])
        error, power = error + float(((got - want) ** 2).sum()), power + float((want**2).sum())
    return 10 * np.log10(power / error)


def in_blocks(scheme: Scheme) -> Scheme:
    """Every layer in MXINT8."""
    storage = BlockStorage(weights="mxint8", activations="mxint8")
    return replace(scheme, weights={}, blocks=dict.fromkeys(scheme.weights, storage))


@pytest.mark.parametrize("text", [LINEAR, CONV])
@pytest.mark.parametrize("kind", MATRICES)
def test_before_a_layer_in_blocks(text, kind):
    model = transformed(text, kind)
    assert noise(model, in_blocks(quantize_scheme(model, feeds(model, 16), Recipe()))) > 30
    (made,) = matches(model, "Hadamard" if kind == "hadamard" else "BlockTransform", domain="edgegate")
    assert made.outputs[0].dtype == ir.DataType.INT32
    if kind != "hadamard":
        matrices = made.inputs[1]
        assert matrices is not None and matrices.dtype == (ir.DataType.INT8 if kind == "matrix" else ir.DataType.INT16)
    turned = len(matches(model, "Transpose"))
    assert turned == (2 if text == CONV else 0), "only the model's input and output are turned"


@pytest.mark.parametrize("text", [LINEAR, CONV])
@pytest.mark.parametrize("kind", MATRICES)
def test_before_a_layer_of_8_bits_it_is_rescaled_as_the_scheme_says(text, kind):
    model = transformed(text, kind)
    scheme = quantize_scheme(model, feeds(model, 16), Recipe())
    assert noise(model, scheme) > 30


def test_another_reader_gets_what_the_scheme_says():
    model = transformed(LINEAR, "hadamard")
    (linear,) = matches(model, "Linear", domain="edgegate")
    value = linear.inputs[0]
    assert value is not None
    model.graph.outputs.append(value)
    scheme = in_blocks(quantize_scheme(model, feeds(model, 16), Recipe()))
    to_integer(scheme)(model)
    run(model, INTEGER, integer)
    found = interpreter.run(model, feeds(model, 1)[0])[str(value.name)]
    stored = scheme.values[str(value.name)]
    np.testing.assert_array_equal(found, (np.rint(found / stored.scale) * np.float32(stored.scale)).astype(np.float32))


def test_a_matrix_that_16_bits_do_not_hold():
    model = parse(LINEAR)
    to_linear(model)
    (layer,) = layers(model)
    insert_transform(model, model.graph.inputs[0], [layer.node], np.full((1, 8, 8), 40000), "matrix", 1)
    with pytest.raises(CompileError, match="no integers of 16 bits; round them to fewer bits"):
        to_integer(quantize_scheme(model, feeds(model, 4), Recipe()))(model)
