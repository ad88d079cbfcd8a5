"""Blocks of zeros are left out where that saves enough, and every bit stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, stages
from edgegate.graph import shape
from edgegate.passes import run
from edgegate.passes._rewrite import operand
from edgegate.passes._zero_blocks import parts
from edgegate.passes.skip_zeros import skip_zeros
from tests.integer_net import Net


def layer(weight: Any, dtype: Any, rows: int) -> ir.Model:
    """A MatMul with these weights, and its Rescale."""
    net = Net(0)
    net.random.random = lambda: 0.99  # type: ignore[method-assign]
    x, wide = net.input(dtype, (rows, len(weight))), dtype == np.int16
    bias = net.constant(np.arange(weight.shape[1]).astype(np.int64 if wide else np.int32) * 100)
    zeros = {} if wide else {"a_zero_point": -7, "b_zero_point": 0}
    acc = net.one("MatMul16x8" if wide else "MatMul", [x, net.constant(weight), bias], zeros)
    factor = [net.constant(np.array([v], np.int32)) for v in ((1 << 14, 24) if wide else (1 << 30, 38))]
    net.one(
        "Rescale", [acc, *factor], {"input_zero_point": 0, "output_zero_point": 0, "low": -128, "high": 127, "to": 3}
    )
    return net.model()


def after(weight: Any, dtype: Any = np.int8, rows: int = 16) -> tuple[Counter[str], int]:
    """Types of the nodes behind the pass, which changes no bit; and how many weights are left."""
    model = layer(weight, dtype, rows)
    (source,) = model.graph.inputs
    assert source.dtype is not None
    x = np.random.default_rng(1).normal(0, 60, (rows, len(weight))).astype(source.dtype.numpy())
    before = interpreter.run(model, {str(source.name): x})
    run(model, [skip_zeros], stages.integer)
    for name, found in interpreter.run(model, {str(source.name): x}).items():
        np.testing.assert_array_equal(found, before[name])
    products = [n for n in model.graph if n.op_type in ("MatMul", "MatMul16x8")]
    left = sum(int(np.prod(shape(operand(n, 1)))) for n in products)
    return Counter(node.op_type for node in model.graph), left


def blocks(pattern: Any, size: int) -> Any:
    """Weights that are not zero where the pattern of blocks is true."""
    held = np.asarray(pattern).repeat(size, 0).repeat(size, 1)
    values = np.random.default_rng(0).choice([-1, 1], held.shape) * np.random.default_rng(2).integers(
        1, 127, held.shape
    )
    return np.where(held, values, 0).astype(np.int8)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_block_diagonal_falls_apart(dtype: Any) -> None:
    found, left = after(blocks(np.eye(4, dtype=bool), 32), dtype)
    assert (found["MatMul"] + found["MatMul16x8"], found["Gather"], found["Concat"], left) == (4, 4, 1, 4 * 32 * 32)


def test_columns_that_read_the_same_are_one_part_wherever_they_are() -> None:
    first, second = [True, True, False, False], [False, False, True, False]
    found, left = after(blocks(np.array([first, second, first, second, first]).T, 32))
    assert (found["MatMul"], found["Concat"], left) == (2, 1, 32 * 32 * (2 * 3 + 2))
    assert found["Gather"] == 3  # the inputs of both, and the order of the sums


def test_pruned_rows_are_gathered_once() -> None:
    found, left = after(blocks(np.array([[True] * 4, [False] * 4, [False] * 4, [True] * 4]), 16))
    assert (found["MatMul"], found["Gather"], found["Concat"], left) == (1, 1, 0, 32 * 64)


def test_columns_without_weights_keep_their_bias() -> None:
    pattern = np.zeros((4, 4), bool)
    pattern[0, :2] = True
    _, left = after(blocks(pattern, 32))
    assert left == 32 * 64 + 64  # one row stands for none


def test_sizes_that_blocks_do_not_divide() -> None:
    weight = blocks(np.eye(4, dtype=bool), 32)[:-9, :-5]
    found, _ = after(weight)
    assert found["MatMul"] == 4


@pytest.mark.parametrize(("size", "products"), [(32, 4), (4, 0)])
def test_groups_of_a_pointwise_convolution_are_products(size: int, products: int) -> None:
    net = Net(0)
    net.random.random = lambda: 0.99  # type: ignore[method-assign]
    x = net.input(np.int8, (2, 8, 4 * size))
    inputs = [
        x,
        net.constant(net.weights(4 * size + 4, 1, size)),
        net.constant(np.arange(4 * size + 4).astype(np.int32)),
    ]
    plain = {"pads": [0, 0], "stride": [1], "dilation": [1], "group": 4, "input_zero_point": 3}
    acc = net.one("Conv1d", inputs, plain)
    net.one("Rescale", [acc, *(net.constant(np.array([v], np.int32)) for v in (1 << 30, 37))],
            {"input_zero_point": 0, "output_zero_point": 0, "low": -128, "high": 127, "to": 3})  # fmt: skip
    model = net.model()
    feed = np.random.default_rng(1).normal(0, 60, (2, 8, 4 * size)).astype(np.float32)
    name = str(model.graph.inputs[0].name)
    (wanted,) = interpreter.run(model, {name: feed}).values()
    run(model, [skip_zeros], stages.integer)
    (found,) = interpreter.run(model, {name: feed}).values()
    np.testing.assert_array_equal(found, wanted)
    assert Counter(n.op_type for n in model.graph)["MatMul"] == products


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_random_blocks(share: float) -> None:
    pattern = np.random.default_rng(3).random((8, 12)) < share
    weight = blocks(pattern, 32)
    _, left = after(weight, rows=32)
    assert pattern.sum() * 32 * 32 <= left < 0.75 * weight.size


def test_what_saves_too_little_stays() -> None:
    assert after(blocks(np.eye(4, dtype=bool), 8), rows=1)[0]["MatMul"] == 1
    assert after(blocks(np.random.default_rng(3).random((4, 4)) < 0.9, 32))[0]["MatMul"] == 1
    scattered = np.where(np.random.default_rng(3).random((64, 64)) < 0.3, 5, 0).astype(np.int8)
    assert after(scattered)[0]["MatMul"] == 1


def test_parts_hold_every_weight() -> None:
    weight = blocks(np.random.default_rng(5).random((6, 9)) < 0.3, 16)
    rest = weight.copy()
    columns = []
    for part in parts(weight, 64):
        rest[np.ix_(part.rows, part.columns)] = 0
        columns += part.columns.tolist()
    assert not rest.any()
    assert sorted(columns) == list(range(weight.shape[1]))
