"""The float edges of a program: ONNX's arithmetic to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgegate import _edges
from edgegate.artifact import IOSpec, Storage

SCALES = st.floats(2.0**-20, 2.0**20, width=32)
KINDS = st.sampled_from(["int8", "uint8", "int16"])


def quantize(x, storage):
    stored = np.empty(x.shape, storage.dtype)
    _edges.Quantizer(IOSpec(name="x", shape=x.shape, dtype="float32", storage=storage), storage)(x, stored)
    return stored


def onnx_edges(storage, shape):
    """ONNX Runtime sessions of QuantizeLinear and DequantizeLinear."""
    import onnxruntime
    from onnx import helper, numpy_helper

    kind = getattr(__import__("onnx").TensorProto, storage.dtype.upper())
    scale = numpy_helper.from_array(np.array(storage.scale, np.float32), "scale")
    zero_point = numpy_helper.from_array(np.array(storage.zero_point, storage.dtype), "zero_point")

    def session(op, source, result):
        node = helper.make_node(op, ["x", "scale", "zero_point"], ["y"])
        edges = [[helper.make_tensor_value_info(n, k, shape)] for n, k in (("x", source), ("y", result))]
        graph = helper.make_graph([node], "edge", *edges, [scale, zero_point])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    return session("QuantizeLinear", 1, kind), session("DequantizeLinear", kind, 1)


@pytest.mark.parametrize(
    "storage",
    [
        Storage(dtype="int8", scale=0.1, zero_point=-7),
        Storage(dtype="uint8", scale=2.0**-8),
        Storage(dtype="int16", scale=3.7e-4),
        Storage(dtype="int8", scale=0.5, zero_point=127),
        Storage(dtype="uint8", scale=1e-6, zero_point=255),
    ],
)
def test_edges_equal_onnx_runtime(storage):
    rng = np.random.default_rng(0)
    magnitudes = rng.normal(size=20_000) * 10.0 ** rng.uniform(-6, 6, 20_000) * storage.scale
    ties = (np.arange(-600, 600) + 0.5) * storage.scale
    extremes = [0.0, -0.0, 1e-45, 3.4e38, -3.4e38]
    x = np.concatenate([magnitudes, ties, extremes]).astype(np.float32)
    to_stored, to_real = onnx_edges(storage, x.shape)
    stored = quantize(x, storage)
    assert np.array_equal(stored, to_stored.run(None, {"x": x})[0])
    real = np.empty(x.shape, np.float32)
    _edges.dequantize(stored, storage, real)
    assert np.array_equal(real, to_real.run(None, {"x": stored})[0])


@settings(max_examples=300, deadline=None)
@given(
    hnp.arrays(np.float32, (7,), elements=st.floats(-(2.0**30), 2.0**30, width=32)),
    KINDS,
    SCALES,
    st.integers(-128, 255),
)
def test_quantize_is_its_definition(x, dtype, scale, zero_point):
    limits = np.iinfo(dtype)
    storage = Storage(dtype=dtype, scale=scale, zero_point=int(np.clip(zero_point, limits.min, limits.max)))
    quotient = np.rint(x / np.float32(scale)).astype(np.float64)  # rounded in float32, the rest is exact
    wanted = np.clip(quotient + storage.zero_point, limits.min, limits.max).astype(dtype)
    assert np.array_equal(quantize(x, storage), wanted)


@given(st.sampled_from([-128, -1, 0, 5, 127]), SCALES)
def test_stored_values_survive_both_edges(zero_point, scale):
    storage = Storage(dtype="int8", scale=scale, zero_point=zero_point)
    stored = np.arange(-128, 128).astype(np.int8)
    real = np.empty(256, np.float32)
    _edges.dequantize(stored, storage, real)
    assert np.array_equal(quantize(real, storage), stored)


def test_int32_outputs_are_rounded_once():
    stored = np.array([2**31 - 1, -(2**31), 2**24 + 1, 7], np.int32)
    real = np.empty(4, np.float32)
    _edges.dequantize(stored, Storage(dtype="int32", scale=0.5), real)
    assert np.array_equal(real, stored.astype(np.float32) * np.float32(0.5))
