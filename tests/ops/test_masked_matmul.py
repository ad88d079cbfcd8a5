"""What is proved of masked halves is what is proved of each half as a layer of its own, and of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.ops import Interval
from edgegate.ops.masked_matmul import MASKED_MATMUL, halves, packed, unpacked
from edgegate.ops.matmul import MATMUL


@pytest.mark.parametrize(("low", "high", "zero"), [(-128, 127, -128), (-128, 127, 9), (3, 100, -20), (-90, -40, 11)])
def test_bounds_are_those_of_the_halves(low: int, high: int, zero: int) -> None:
    rng = np.random.default_rng(0)
    weight, masks = rng.integers(-127, 128, (9, 5)).astype(np.int8), packed(rng.random((2, 9, 5)) < 0.5)
    bias, x = rng.integers(-9000, 9000, 20).astype(np.int32), Interval(low=low, high=high)
    found = MASKED_MATMUL.bounds(x, Interval.of(weight), Interval.of(masks), Interval.of(bias), x_zero_point=zero)
    parts = [
        *zip(halves(weight, masks).reshape(4, 9, 5), bias.reshape(4, 5), strict=True),
        (weight, np.zeros(5, np.int32)),
    ]
    each = [
        MATMUL.bounds(x, Interval.of(part), Interval.of(start), a_zero_point=zero, b_zero_point=0)
        for part, start in parts
    ]
    assert found.output.low == min(b.output.low for b in each[:-1])
    assert found.output.high == max(b.output.high for b in each[:-1])
    assert found.accumulator is not None and found.output.channels is not None
    assert found.accumulator.low == min(b.accumulator.low for b in each if b.accumulator is not None)
    assert found.accumulator.high == max(b.accumulator.high for b in each if b.accumulator is not None)
    for channels, bound in zip(np.split(found.output.channels, 4, 1), each[:-1], strict=True):
        assert (channels[0].min(), channels[1].max()) == (bound.output.low, bound.output.high)


def test_too_great_a_sum_is_refused() -> None:
    weight, masks = np.full((140000, 1), 127, np.int8), np.zeros((1, 140000, 1), np.uint8)
    inputs: list[np.ndarray] = [weight, masks, np.zeros(2, np.int32)]
    with pytest.raises(OverflowError, match="accumulator"):
        MASKED_MATMUL.bounds(Interval(low=-128, high=127), *(Interval.of(data) for data in inputs), x_zero_point=0)


def test_bits_are_packed_from_the_lowest() -> None:
    masks = np.random.default_rng(0).random((2, 3, 11)) < 0.5
    assert packed(np.eye(1, 11, 9, dtype=bool)[None]).tolist() == [[[0, 2]]]
    np.testing.assert_array_equal(unpacked(packed(masks), 11), masks)
