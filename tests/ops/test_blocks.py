"""The ops on blocks: what their definitions promise beyond one meaning in every engine."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.ops import OPS, Interval

HADAMARD, TRANSFORM = (OPS["edgegate", name] for name in ("Hadamard", "BlockTransform"))


def interval(low: int, high: int, *dims: int) -> Interval:
    return Interval(low=low, high=high, dims=dims)


@given(st.integers(0, 8), st.integers(0, 1 << 32))
def test_hadamard_is_sylvesters_matrix(bits: int, seed: int) -> None:
    block = 1 << bits
    sylvester = reduce(np.kron, [np.array([[1, 1], [1, -1]])] * bits, np.eye(1, dtype=int))
    x = np.random.default_rng(seed).integers(-128, 128, (3, 2 * block)).astype(np.int8)
    y = HADAMARD.reference(x, block=block, input_zero_point=7)
    expected = (x.reshape(3, 2, block).astype(int) - 7) @ sylvester
    np.testing.assert_array_equal(y, expected.reshape(3, -1))
    back = HADAMARD.reference(y.astype(np.int64), block=block, input_zero_point=0)
    np.testing.assert_array_equal(back, block * (x.astype(int) - 7))


def test_hadamards_bound_is_reached_and_no_more() -> None:
    bound = HADAMARD.bounds(interval(-128, 127, 1, 256), block=256, input_zero_point=127)
    worst = HADAMARD.reference(np.full((1, 256), -128, np.int8), block=256, input_zero_point=127)
    assert bound.output.low == worst.min() == -255 * 256
    with pytest.raises(OverflowError, match="the sum reaches"):
        HADAMARD.bounds(interval(-(1 << 15), 0, 1 << 17), block=1 << 15, input_zero_point=1 << 15)


@pytest.mark.parametrize(("block", "said"), [(12, "power of two"), (0, "power of two"), (1 << 16, "power of two"),
                                             (32, "48 channels are no whole number of blocks of 32")])  # fmt: skip
def test_a_block_that_no_hadamard_matrix_has_is_refused(block: int, said: str) -> None:
    with pytest.raises(OverflowError, match=said):
        HADAMARD.bounds(interval(-1, 1, 2, 48), block=block, input_zero_point=0)


def test_a_transforms_bound_is_reached() -> None:
    matrices = np.array([[[100, -127], [1, 2]]], np.int8)
    constant = Interval.of(matrices)
    bound = TRANSFORM.bounds(interval(-128, 127, 1, 2), constant, input_zero_point=0)
    worst = TRANSFORM.reference(np.array([[127, -128]], np.int8), matrices, input_zero_point=0)
    assert bound.output.high == worst.max()
    wide = Interval.of(np.full((1, 2, 2), -32768, np.int16))
    with pytest.raises(OverflowError, match="int32 cannot hold"):
        TRANSFORM.bounds(interval(-32768, 0, 1, 2), wide, input_zero_point=0)
    with pytest.raises(OverflowError, match="1 matrices of 2 x 2 do not transform 4 channels"):
        TRANSFORM.bounds(interval(-128, 127, 1, 4), constant, input_zero_point=0)
    with pytest.raises(OverflowError, match="must be constants"):
        TRANSFORM.bounds(interval(-128, 127, 1, 2), interval(-1, 1, 1, 2, 2), input_zero_point=0)
