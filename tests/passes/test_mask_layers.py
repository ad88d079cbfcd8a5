"""Disjoint halves of one matrix become one layer, and nothing else does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, stages
from edgegate.passes import run
from edgegate.passes.mask_layers import mask_layers
from tests.integer_net import Net

DEPTH, WIDTH = 24, 12


def layers(weights: list[Any], dtype: Any = np.int8, zeros: tuple[int, ...] = (-7,)) -> ir.Model:
    """A model of layers over one input, their sums rescaled."""
    net = Net(0)
    net.random.random = lambda: 0.99  # type: ignore[method-assign]
    x = net.input(dtype, (2, DEPTH))
    for i, weight in enumerate(weights):
        wide = dtype == np.int16
        bias = net.constant(np.full(WIDTH, 1000 * i, np.int64 if wide else np.int32))
        inputs = [x, net.constant(weight), bias]
        zero = {} if wide else {"a_zero_point": zeros[i % len(zeros)], "b_zero_point": 0}
        acc = net.one("MatMul16x8" if wide else "MatMul", inputs, zero)
        factor = [net.constant(np.array([v], np.int32)) for v in ((1 << 14, 24) if wide else (1 << 30, 38))]
        plain = {"input_zero_point": 0, "output_zero_point": 0, "low": -128, "high": 127, "to": 3}
        net.one("Rescale", [acc, *factor], plain)
    return net.model()


def made_of(count: int, dense: float = 1.0) -> tuple[Any, list[Any]]:
    """A matrix, and ``count`` masks."""
    rng = np.random.default_rng(1)
    weight = np.where(rng.random((DEPTH, WIDTH)) < dense, rng.integers(1, 128, (DEPTH, WIDTH)), 0).astype(np.int8)
    return weight, [rng.random((DEPTH, WIDTH)) < 0.5 for _ in range(count)]


def after(model: ir.Model) -> Counter[str]:
    """Types of the nodes once the pass has run, which changes no output."""
    feeds = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        dims, real = (2, DEPTH), model.graph.inputs[0].dtype == ir.DataType.FLOAT
        feeds.append(rng.normal(0, 9, dims).astype(np.float32) if real else rng.integers(-128, 128, dims, np.int8))
    kind = model.graph.inputs[0].dtype
    assert kind is not None
    given = [{str(model.graph.inputs[0].name): feed.astype(kind.numpy())} for feed in feeds]
    before = [interpreter.run(model, feed) for feed in given]
    run(model, [mask_layers], stages.integer)
    for feed, wanted in zip(given, before, strict=True):
        for name, found in interpreter.run(model, feed).items():
            np.testing.assert_array_equal(found, wanted[name])
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("count", [1, 3])
def test_pairs_read_one_matrix(count: int, dtype: Any) -> None:
    weight, masks = made_of(count)
    halves = [half for mask in masks for half in (np.where(mask, weight, 0), np.where(mask, 0, weight))]
    halves = halves[::2] + halves[1::2]
    found = after(layers(halves, dtype))
    assert (found["MaskedMatMul"], found["MatMul"], found["MatMul16x8"], found["Split"]) == (1, 0, 0, 1)


def test_pairs_of_two_matrices_are_two() -> None:
    weight, (mask, other) = made_of(2)
    turned = -weight[::-1]
    halves = [
        np.where(mask, weight, 0),
        np.where(other, turned, 0),
        np.where(mask, 0, weight),
        np.where(other, 0, turned),
    ]
    assert after(layers(halves))["MaskedMatMul"] == 2


def test_zeros_of_the_matrix_are_anyones() -> None:
    weight, (mask,) = made_of(1, dense=0.8)
    assert after(layers([np.where(mask, weight, 0), np.where(mask, 0, weight)]))["MaskedMatMul"] == 1


def test_what_overlaps_or_is_sparse_stays() -> None:
    weight, (mask,) = made_of(1)
    first, second = np.where(mask, weight, 0), np.where(mask, 0, weight)
    second[mask.nonzero()[0][0], mask.nonzero()[1][0]] = 1
    assert after(layers([first, second]))["MaskedMatMul"] == 0
    corner, side = np.zeros((2, DEPTH, WIDTH), np.int8)
    corner[:8, :6], side[14:, 6:] = 3, 2
    assert after(layers([corner, side]))["MaskedMatMul"] == 0


def test_other_zero_points_are_other_inputs() -> None:
    weight, (mask,) = made_of(1)
    assert after(layers([np.where(mask, weight, 0), np.where(mask, 0, weight)], zeros=(1, 2)))["MaskedMatMul"] == 0
