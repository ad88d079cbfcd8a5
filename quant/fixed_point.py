"""A real scale as an integer multiplier and a right shift, in exact rational arithmetic.

    scale ~ multiplier / 2**shift

Nothing here rounds more than once: scales are Fractions (a float is one, exactly), and the multiplier
is the nearest integer, ties up. Source: TOSA 1.0.1, RESCALE, apply_scale_32 and apply_scale_16.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from edgegate.graph import Array

MIN_SHIFT, MAX_SHIFT = 2, 62
"""TOSA's domain of RESCALE."""
PAIR_BITS, PAIR_MAX_SHIFT = 20, 31
"""Multipliers of Add are at most 2**20, its shift at most 31.

Then ``2 * 255 * 2**20 + 2**30`` < 2**31: the sum of two 8-bit terms and the rounding fits int32.
"""


def fixed_point(scale: float | Fraction) -> tuple[int, int]:
    """(multiplier, shift) of a rescale of int32 accumulators.

    The multiplier lies in [2**30, 2**31) and the shift in [2, 62]; relative error at most 2**-31. Scales
    below 2**-32 become (0, 31): no int32 times such a scale reaches one half, so the
    rescaled value is 0 anyway and nothing is lost.

    Raises:
        ValueError: The scale is negative, not finite, or 2**29 or more.
    """
    return _normalise(scale, 31)


def fixed_point_16(scale: float | Fraction) -> tuple[int, int]:
    """(multiplier, shift) of a rescale of int48 accumulators: multiplier in [2**14, 2**15).

    Relative error at most 2**-15. Scales below 2**-48 become (0, 31), for the same reason as above.

    Raises:
        ValueError: The scale is negative, not finite, or 2**13 or more.
    """
    return _normalise(scale, 15)


def fixed_points(scales: Iterable[float | Fraction], *, bits: int = 31) -> tuple[Array, Array]:
    """Multipliers and shifts, one per scale, as int32 arrays.

    Args:
        scales: One per channel.
        bits: 31 for int32 accumulators (:func:`fixed_point`), 15 for int48 (:func:`fixed_point_16`).
    """
    if bits not in (15, 31):
        raise ValueError(f"bits must be 15 or 31, got {bits}")
    pairs = [_normalise(scale, bits) for scale in scales]
    both = np.array(pairs, np.int32).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def fixed_pair(a: float | Fraction, b: float | Fraction, *, bits: int = PAIR_BITS) -> tuple[int, int, int]:
    """(multiplier of a, multiplier of b, shift) of an Add: two scales, maybe negative, over one shift.

    Magnitudes are at most ``2**bits``; the shift is the largest in [2, 31] that allows it. The error of
    each scale is at most ``2**-(shift + 1)``.

    Raises:
        ValueError: A scale is not finite, or too large for shift 2.
    """
    if not 1 <= bits <= 30:
        raise ValueError(f"bits must lie in [1, 30], got {bits}")
    first, second = _exact(a), _exact(b)
    largest = max(abs(first), abs(second))
    shift = PAIR_MAX_SHIFT
    if largest:
        shift = min(shift, bits - _floor_log2(largest))
        while shift >= MIN_SHIFT and _half_up(largest * _power(shift)) > 1 << bits:
            shift -= 1
    if shift < MIN_SHIFT:
        raise ValueError(f"the scales {float(first)} and {float(second)} need a shift below {MIN_SHIFT}")
    return _half_up(first * _power(shift)), _half_up(second * _power(shift)), shift


def _normalise(scale: float | Fraction, bits: int) -> tuple[int, int]:
    exact = _exact(scale)
    if exact < 0:
        raise ValueError(f"a scale must not be negative, got {float(exact)}")
    if exact == 0:
        return 0, 31
    shift = bits - 1 - _floor_log2(exact)
    multiplier = _half_up(exact * _power(shift))
    if multiplier == 1 << bits:  # the scale is just below a power of two and was rounded up to it
        multiplier, shift = multiplier >> 1, shift - 1
    if shift > MAX_SHIFT:
        return 0, 31
    if shift < MIN_SHIFT:
        raise ValueError(f"the scale {float(exact)} needs a shift below {MIN_SHIFT}")
    return multiplier, shift


def _exact(scale: float | Fraction) -> Fraction:
    try:
        return Fraction(scale)
    except (OverflowError, ValueError, TypeError) as e:
        raise ValueError(f"a scale must be a finite number, got {scale!r}") from e


def _power(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _floor_log2(positive: Fraction) -> int:
    """floor(log2(x)) from bit lengths, never from a float logarithm."""
    guess = positive.numerator.bit_length() - positive.denominator.bit_length()
    return guess if positive >= _power(guess) else guess - 1


def _half_up(exact: Fraction) -> int:
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
