"""Transforms in the float graph: what they compute, and that layers whose weights undo them keep their results."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.graph import array, matches
from edgegate.passes._rewrite import revise
from edgegate.quant.insert_transform import insert_transform, pad_weights, sylvester
from edgegate.stages import floating
from tests.passes.text import lines, outputs, parse

LINEAR = """g (float[2,3,6] x) => (y, z) <float[6,2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float[2] b = {1, 2}> {
    y = MatMul (x, w)
    z = MatMul (x, w)
}"""
CONV = """g (float[1,6,4,4] x) => (y) <float[2,6,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> {
    y = Conv <pads = [1, 1, 1, 1]> (x, w)
}"""


def transformed(model: ir.Model, matrices: np.ndarray, kind: str, axis: int, rows: int) -> list[np.ndarray]:
    """The outputs with a transform in, undone by the weights, whose input channels are axis ``rows``."""
    (first, *_) = readers = [n for n in model.graph]
    value = first.inputs[0]
    assert value is not None
    insert_transform(model, value, readers, matrices, kind, axis)
    size = matrices.shape[-1]
    for node in readers:
        data = array(node.inputs[1])
        assert data is not None
        weight = pad_weights(data.astype(np.float64), rows, size)
        split = np.moveaxis(weight, rows, 0).reshape(-1, size, weight.size // weight.shape[rows])
        turned = np.linalg.inv(matrices.astype(np.float64)).transpose(0, 2, 1) @ split
        revise(model, node, 1, np.moveaxis(turned.reshape(np.moveaxis(weight, rows, 0).shape), 0, rows))
    floating(model)
    return outputs(model)


@pytest.mark.parametrize(("text", "axis", "rows"), [(LINEAR, 2, 0), (CONV, 1, 1)])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("kind", ["hadamard", "matrix"])
def test_the_weights_undo_it(text, axis, rows, size, kind):
    rng, model = np.random.default_rng(size), parse(text)
    wanted = outputs(model)
    count = -(-6 // size)
    matrices = np.stack([sylvester(size)] * count)
    if kind == "matrix":
        matrices = matrices * rng.integers(1, 31, (count, 1, size))
    for got, want in zip(transformed(model, matrices, kind, axis, rows), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    assert len(matches(model, "Transform", domain="edgegate")) == 1
    assert len(matches(model, "Pad")) == (size == 4)


def test_text():
    model = parse(LINEAR)
    value = model.graph.inputs[0]
    made = insert_transform(model, value, [matches(model, "MatMul")[1]], np.array([[[1, 2], [3, 4]]] * 3), "matrix", -1)
    assert made.name == "x.transformed"
    again = insert_transform(model, value, [matches(model, "MatMul")[0]], sylvester(4)[None], "hadamard", -1)
    assert again.name == "x.transformed_1"
    assert [line.partition("]]")[0] for line in lines(model)] == [
        "x_transformed_1_padded = ::Pad<mode=constant>(x, int64[0.0, 0.0, 0.0, 0.0, 0.0, 2.0])",
        "x_transformed_1 = edgegate::Transform<kind=hadamard>(x_transformed_1_padded, float32[[[1.0, 1.0, 1.0, 1.0], "
        "[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0",
        "y = ::MatMul<>(x_transformed_1, float32[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0], "
        "[11.0, 12.0",
        "x_transformed = edgegate::Transform<kind=matrix>(x, float32[[[1.0, 2.0], [3.0, 4.0",
        "z = ::MatMul<>(x_transformed, float32[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0], "
        "[11.0, 12.0",
    ]


def test_a_convolution_has_its_channels_moved_last_and_back():
    model = parse(CONV)
    insert_transform(model, model.graph.inputs[0], list(model.graph), sylvester(4)[None], "hadamard", 1)
    moves = [line.partition("[[[")[0] for line in lines(model)][:4]
    assert moves == [
        "x_transformed_last = ::Transpose<perm=[0, 2, 3, 1]>(x)",
        "x_transformed_padded = ::Pad<mode=constant>(x_transformed_last, int64["
        "0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0])",
        "x_transformed_blocks = edgegate::Transform<kind=hadamard>(x_transformed_padded, float32",
        "x_transformed = ::Transpose<perm=[0, 3, 1, 2]>(x_transformed_blocks)",
    ]


@given(st.integers(1, 5), st.sampled_from([1, 2, 4, 8]), st.booleans(), st.integers(0, 2**32 - 1))
def test_it_multiplies_each_block(count, size, shared, seed):
    rng = np.random.default_rng(seed)
    model = parse(f"g (float[2,3,{count * size}] x) => (y) {{ y = Relu (x) }}")
    matrices = rng.integers(-40, 40, (1 if shared else count, size, size))
    insert_transform(model, model.graph.inputs[0], list(model.graph), matrices, "matrix", 2)
    x = (np.random.default_rng(0).standard_normal((2, 3, count * size)) * 2).astype(np.float32)
    whole = np.broadcast_to(matrices, (count, size, size))
    want = np.einsum("...nc,nrc->...nr", x.reshape(2, 3, count, size).astype(np.float64), whole)
    (got,) = outputs(model)
    np.testing.assert_allclose(got, np.maximum(want.reshape(x.shape), 0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_sylvester(size):
    made = sylvester(size).astype(int)
    assert made.tolist() == [[(-1) ** (i & j).bit_count() for j in range(size)] for i in range(size)]


@pytest.mark.parametrize(
    ("matrices", "kind", "message"),
    [
        (sylvester(2)[None], "wush", "kind must be one of hadamard, matrix, got 'wush'"),
        (sylvester(2), "hadamard", r"\[blocks, d, d\], got \[2, 2\]"),
        (np.ones((3, 2, 3)), "matrix", r"\[blocks, d, d\], got \[3, 2, 3\]"),
        (np.ones((2, 2, 2)), "matrix", "6 channels in blocks of 2 need 3 matrices, got 2"),
        (np.full((3, 2, 2), 0.5), "matrix", "must hold integers"),
        (np.full((3, 2, 2), 2**24 + 1), "matrix", "must hold integers"),
        (np.full((3, 2, 2), np.nan), "matrix", "must hold integers"),
        (np.ones((3, 2, 2)), "hadamard", "must be the unnormalised Sylvester matrix"),
        (np.ones((2, 3, 3)), "hadamard", "power of two as its size here, got 3"),
    ],
)
def test_refused(matrices, kind, message):
    model = parse(LINEAR)
    before = lines(model)
    with pytest.raises(ValueError, match=message):
        insert_transform(model, model.graph.inputs[0], list(model.graph), matrices, kind, 2)
    assert lines(model) == before


def test_readers_that_cannot_read_it():
    model = parse(
        "g (float[1,6,1,1] x) => (y, z) <float[6,3,1,1] w = {1}> { y = Conv <group = 2> (x, w) z = Relu (y) }"
    )
    x, (conv, relu) = model.graph.inputs[0], list(model.graph)
    model.graph.initializers["w"].shape = ir.Shape((6, 3, 1, 1))
    with pytest.raises(ValueError, match="groups of 3 channels, which blocks of 2 straddle"):
        insert_transform(model, x, [conv], sylvester(2)[None], "hadamard", 1)
    with pytest.raises(ValueError, match="does not read x as its first input"):
        insert_transform(model, x, [relu], sylvester(2)[None], "hadamard", 1)
    with pytest.raises(ValueError, match="needs a reader"):
        insert_transform(model, x, [], sylvester(2)[None], "hadamard", 1)
