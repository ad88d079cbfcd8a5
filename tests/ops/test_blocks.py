"""The ops on blocks: what their definitions promise beyond one meaning in every engine."""

from functools import reduce

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.ops import OPS, Bound, Interval
from edgegate.stages import prove

HADAMARD, TRANSFORM, MATMUL = (OPS["edgegate", name] for name in ("Hadamard", "BlockTransform", "BlockMatMul"))


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


def product(a: tuple[int, int], exponents: tuple[int, int], b: np.ndarray, scales: np.ndarray, bias: np.ndarray):
    """The bound of a product of blocks of two."""
    depth = len(b)
    constants = (Interval.of(v) for v in (b.astype(np.int8), scales.astype(np.int32), bias.astype(np.int64)))
    return MATMUL.bounds(interval(*a, 1, depth), interval(*exponents, 1, depth // 2), *constants, block=2)


@given(st.integers(0, 1 << 32))
def test_a_products_ends_are_reached(seed: int) -> None:
    """By the inputs that the signs of the weights ask for; intervals on either side of zero."""
    rng = np.random.default_rng(seed)
    b, scales = rng.integers(-127, 128, (6, 3)).astype(np.int8), rng.integers(1, 1 << 20, (3, 3)).astype(np.int32)
    bias, (low, high) = rng.integers(-(1 << 30), 1 << 30, 3), sorted(rng.integers(-128, 128, 2).tolist())
    least, most = sorted(rng.integers(0, 12, 2).tolist())
    bound = product((low, high), (least, most), b, scales, bias)
    ends = []
    for j in range(3):
        for sign in (1, -1):
            a = np.where(sign * b[:, j] > 0, high, low).astype(np.int8)
            sums = sign * (a.astype(int) * b[:, j]).reshape(3, 2).sum(1)
            exponents = np.where(sums > 0, most, least).astype(np.int8)
            ends.append(MATMUL.reference(a[None], exponents[None], b, scales, bias, block=2)[0, j])
    assert (bound.output.low, bound.output.high) == (min(ends[1::2]), max(ends[::2]))
    assert bound.accumulator.low <= min(0, bound.output.low) <= max(0, bound.output.high) <= bound.accumulator.high


def test_a_product_past_its_width_is_refused() -> None:
    """2**47 - 1 is the most; scales and shifts that pass int64 are seen as well."""
    b, ones, none = np.array([[1], [0]]), np.array([[1]]), np.array([0])
    assert product((0, 127), (0, 40), b, ones, none + (1 << 47) - (127 << 40) - 1).output.high == (1 << 47) - 1
    for case in (((0, 127), (0, 40), b, ones, none + (1 << 47) - (127 << 40)),
                 ((-128, 0), (0, 40), b, ones * ((1 << 31) - 1), none)):  # fmt: skip
        with pytest.raises(OverflowError, match=r"the accumulator reaches .* int48"):
            product(*case)
    long = np.ones((1 << 18, 1), np.int8) * 127
    with pytest.raises(OverflowError, match=r"accumulator of a block .* int32"):
        MATMUL.bounds(interval(-128, 127, 1, len(long)), interval(0, 0, 1, 1), *map(Interval.of, (long, ones, none)),
                      block=len(long))  # fmt: skip


@pytest.mark.parametrize(("exponents", "scales", "said"), [
    ((-1, 3), [[1]], r"exponents reach \[-1, 3\]"), ((0, 41), [[1]], "outside"), ((0, 3), [[0]], "0, not positive"),
    ((0, 3), [[1], [1]], r"scales of \(2, 1\) do not fit \(1, 1\)"),
])  # fmt: skip
def test_a_product_outside_its_domain_is_refused(
    exponents: tuple[int, int], scales: list[list[int]], said: str
) -> None:
    with pytest.raises(OverflowError, match=said):
        product((-1, 1), exponents, np.array([[1], [1]]), np.array(scales), np.array([0]))


def test_an_op_of_two_outputs_has_two_intervals() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1]>
        g (int16[1, 16] x) => (int8[1, 16] a, int8[1, 2] e) {
            a, e = edgegate.BlockQuantize <block = 8, low = -7, high = 7, digits = 0, top = 2, rule = 0, rounding = 0,
                overflow = 0, input_zero_point = 0> (x)
        }"""
    )
    assert prove(model).values == {"a": (-7, 7), "e": (0, 13)}
    with pytest.raises(ValueError, match="intervals of 2 outputs, where the node has 3"):
        Bound(output=interval(0, 1), more=(interval(0, 2),)).of(3)
