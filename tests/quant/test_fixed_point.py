"""Scales to multipliers and shifts: every bound in exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgegate.quant.fixed_point import fixed_pair, fixed_point, fixed_point_16, fixed_points

WORKING = st.floats(2**-32, 2**28)


@given(WORKING)
@example(1.0)
@example(1 - 2**-53)  # rounds up to the next power of two
@example(2.0**-32)
@example(2**29 - 1.0)
def test_fixed_point_error_is_at_most_half_a_unit(scale: float) -> None:
    multiplier, shift = fixed_point(scale)
    assert 2**30 <= multiplier < 2**31
    assert 2 <= shift <= 62
    assert abs(Fraction(multiplier, 2**shift) - Fraction(scale)) <= Fraction(1, 2 ** (shift + 1))
    assert abs(Fraction(multiplier, 2**shift) / Fraction(scale) - 1) <= Fraction(1, 2**31)


@given(st.integers(2**30, 2**31 - 1), st.integers(2, 62))
def test_fixed_point_rounds_ties_up(multiplier: int, shift: int) -> None:
    tie = Fraction(2 * multiplier + 1, 2 ** (shift + 1))
    expected = (multiplier + 1, shift) if multiplier + 1 < 2**31 else (2**30, shift - 1)
    if expected[1] >= 2:
        assert fixed_point(tie) == expected
    assert fixed_point(Fraction(multiplier, 2**shift)) == (multiplier, shift)


@given(st.floats(2**-48, 2**12))
@example(1 - 2**-53)
def test_fixed_point_16_error_is_at_most_half_a_unit(scale: float) -> None:
    multiplier, shift = fixed_point_16(scale)
    assert 2**14 <= multiplier < 2**15
    assert 2 <= shift <= 62
    assert abs(Fraction(multiplier, 2**shift) - Fraction(scale)) <= Fraction(1, 2 ** (shift + 1))


def test_fixed_point_16_rounds_ties_up() -> None:
    assert fixed_point_16(Fraction(2 * 16384 + 1, 2**21)) == (16385, 20)
    assert fixed_point_16(Fraction(2 * 16385 + 1, 2**21)) == (16386, 20)


@given(st.floats(0, 2**-32, exclude_max=True), st.integers(-(2**31) + 1, 2**31 - 1))
def test_flushing_a_tiny_scale_loses_nothing(scale: float, accumulator: int) -> None:
    multiplier, shift = fixed_point(scale)
    exact = Fraction(scale) * accumulator
    rounded = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    if multiplier == 0:
        assert shift == 31
        assert rounded == 0
    else:  # just below 2**-32, which it was rounded up to
        assert (multiplier, shift) == (2**30, 62)


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf"), 2.0**29, Fraction(-1, 3)])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        fixed_point(scale)


def test_a_scale_rounded_up_to_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="shift below"):
        fixed_point(Fraction(2**29) - Fraction(1, 2**60))
    with pytest.raises(ValueError, match="shift below"):
        fixed_point_16(2.0**13)


def test_arrays_are_the_scalars_side_by_side() -> None:
    scales = [0.0, 1.0, 0.3, 2.0**-40, 1e-5]
    multipliers, shifts = fixed_points(scales)
    assert multipliers.dtype == shifts.dtype == np.int32
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == [fixed_point(s) for s in scales]
    narrow = fixed_points(scales, bits=15)
    assert [(int(m), int(s)) for m, s in zip(*narrow, strict=True)] == [fixed_point_16(s) for s in scales]
    with pytest.raises(ValueError, match="15 or 31"):
        fixed_points(scales, bits=16)


SIGNED = st.floats(-(2**17), 2**17)


@given(SIGNED, SIGNED)
@example(1.0, -1.0)
@example(0.0, 0.0)
@example(1 - 2**-53, 2.0**-40)
def test_pair_shares_a_shift_exactly(a: float, b: float) -> None:
    first, second, shift = fixed_pair(a, b)
    assert 2 <= shift <= 31
    assert max(abs(first), abs(second)) <= 2**20
    for multiplier, scale in ((first, a), (second, b)):
        assert abs(Fraction(multiplier, 2**shift) - Fraction(scale)) <= Fraction(1, 2 ** (shift + 1))
    # The largest shift that fits: one more would leave the range, of the shift or of a multiplier.
    largest = max(abs(Fraction(a)), abs(Fraction(b)))
    assert shift == 31 or largest * 2 ** (shift + 1) > 2**20
    # Two 8-bit terms and the rounding fit int32.
    assert 255 * (abs(first) + abs(second)) + 2 ** (shift - 1) < 2**31


def test_pair_rounds_ties_up_on_both_sides_of_zero() -> None:
    unit = Fraction(1, 2**20)
    assert fixed_pair(1.0, Fraction(5, 2) * unit) == (2**20, 3, 20)
    assert fixed_pair(1.0, Fraction(-5, 2) * unit) == (2**20, -2, 20)


def test_pair_refuses_what_no_shift_holds() -> None:
    assert fixed_pair(2.0**18, 0.0) == (2**20, 0, 2)
    with pytest.raises(ValueError, match="shift below"):
        fixed_pair(2.0**18 + 1, 1.0)
    with pytest.raises(ValueError, match="bits"):
        fixed_pair(1.0, 1.0, bits=31)
