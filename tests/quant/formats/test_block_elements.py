"""Elements and roundings: against ml_dtypes, and against rational arithmetic where a float could go wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgegate.quant.formats import FORMATS, format_named
from edgegate.quant.formats._element import integer, minifloat
from edgegate.quant.formats._round import ROUNDINGS
from edgegate.quant.formats._scale import PowerOfTwo
from tests.quant.formats.exact_blocks import SPECS

MINIFLOATS = {
    "mxfp8_e4m3": (ml_dtypes.float8_e4m3fn, 9),
    "mxfp8_e5m2": (ml_dtypes.float8_e5m2, 16),
    "mxfp6_e3m2": (ml_dtypes.float6_e3m2fn, 4),
    "mxfp6_e2m3": (ml_dtypes.float6_e2m3fn, 3),
    "mxfp4": (ml_dtypes.float4_e2m1fn, 1),
}
"""The type of ml_dtypes, and the exponent of its smallest step, negated."""


@pytest.mark.parametrize("name", MINIFLOATS)
def test_codes_stand_for_the_values_of_ml_dtypes(name):
    kind, fraction = MINIFLOATS[name]
    element = format_named(name).element
    values = np.arange(1 << element.bits, dtype=np.uint8).view(kind).astype(np.float64)
    finite = np.isfinite(values)
    codes = np.flatnonzero(finite)
    np.testing.assert_array_equal(element.decode(codes) * 2.0**-fraction, values[finite])
    made = element.encode(element.decode(codes))
    negative_zero = 1 << (element.bits - 1)
    np.testing.assert_array_equal(made, np.where(codes == negative_zero, 0, codes))
    for code in np.flatnonzero(~finite):
        with pytest.raises(ValueError, match=f"reserves the code {code:#x}"):
            element.decode(np.array([code]))


@pytest.mark.parametrize("name", MINIFLOATS)
def test_elements_round_as_ml_dtypes(name):
    kind, fraction = MINIFLOATS[name]
    element = format_named(name).element
    grid = np.unique(element.table[np.abs(element.table) <= element.high]).astype(np.float64)
    ties = (grid[1:] + grid[:-1]) / 2
    # Neighbours in float32: ml_dtypes 0.6 takes float64 to float32 first, and so rounds twice.
    near = np.concatenate((ties, grid)).astype(np.float32)
    near = np.concatenate((near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))))
    random = np.random.default_rng(0).normal(0, element.high / 2, 4000)
    small = np.random.default_rng(1).normal(0, 4, 4000)
    ratios = np.concatenate((near, random, small)).clip(element.low, element.high).astype(np.float32)
    steps = np.float32(2.0**-fraction)
    expected = (ratios * steps).astype(kind).astype(np.float64) / steps
    ratios = ratios.astype(np.float64)
    np.testing.assert_array_equal(element.round(ratios, ROUNDINGS["half_even"]), expected)


def test_rounding_has_its_own_ends():
    element = format_named("mxfp4").element
    past = element.round(np.array([13.9, 14.0, -1000.0, 0.0, 5.0, 7.0, 5.000001]), ROUNDINGS["half_even"])
    assert past.tolist() == [12, 16, -1024, 0, 4, 8, 6]  # who clips is the format


def exact_round(x: float | Fraction, how: str) -> int:
    exact = Fraction(x)
    if how == "half_even":
        return round(exact)
    if how == "truncate":
        return math.floor(exact)
    if how == "half_up" or exact > 0:
        return math.floor(exact + Fraction(1, 2))
    return math.ceil(exact - Fraction(1, 2))


BELOW_HALF = 0.49999999999999994
TRAPS = [BELOW_HALF, -BELOW_HALF, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 5e-324, -5e-324, 0.0, -0.0, 4503599627370497.5]


@pytest.mark.parametrize("how", ROUNDINGS)
@given(x=st.floats(-(2.0**60), 2.0**60) | st.integers(-999, 999).map(lambda i: i / 2) | st.sampled_from(TRAPS))
def test_roundings_are_exact(how, x):
    assert int(ROUNDINGS[how](np.array([x]))[0]) == exact_round(x, how)


@given(
    scale=st.integers(1, 2**28).map(float),
    half=st.integers(-500, 500),
    nudge=st.integers(-3, 3),
    how=st.sampled_from(sorted(ROUNDINGS)),
)
def test_a_quotient_never_lands_on_a_tie_that_the_exact_one_misses(scale, half, nudge, how):
    """x lies a few last places beside a tie, or on it."""
    x = scale * half / 2
    for _ in range(abs(nudge)):
        x = math.nextafter(x, math.copysign(math.inf, nudge))
    assume(abs(x) >= 1e-300)
    got = ROUNDINGS[how](np.array([x]) / np.array([scale]))[0]
    assert int(got) == exact_round(Fraction(x) / Fraction(scale), how)


def test_truncation_sees_the_sign_of_what_underflows():
    x = np.array([2.0**127, -5e-324, 5e-324])
    assert FORMATS["bfp16_aie_trunc"].quantize(x).significands[0, :3].tolist() == [64, -1, 0]
    assert FORMATS["bfp16_quark"].quantize(x).significands[0, :3].tolist() == [64, 0, 0]


def test_an_element_refuses_what_its_bits_cannot_hold():
    wrong: list[dict[str, Any]] = [{"high": 8}, {"low": -9}, {"bits": 1}, {"digits": 4}, {"low": 0}]
    for bad in wrong:
        with pytest.raises(ValueError, match="int4"):
            replace(integer(4), **bad)
    with pytest.raises(ValueError, match="no range of 4 bits"):
        minifloat("e2m1", 2, 1, 5)


def test_an_element_has_no_code_for_what_it_lacks():
    with pytest.raises(ValueError, match="e2m1 has no significand 5"):
        FORMATS["mxfp4"].element.encode(np.array([4, 5, 6]))
    with pytest.raises(ValueError, match="int8 has no significand -128"):
        FORMATS["mxint8"].element.encode(np.array([-128]))
    assert FORMATS["bfp16_bump"].element.encode(np.array([-128, 127])).tolist() == [0x80, 0x7F]


def test_sign_magnitude_codes():
    element = FORMATS["msfp12"].element
    assert element.encode(np.array([-7, -1, 0, 1, 7])).tolist() == [0b1111, 0b1001, 0, 1, 7]
    assert element.decode(np.array([0b1000])).tolist() == [0]


def test_tops_and_digits():
    tops = {"int4_g32": 2, "mxfp4": 3, "mxint8": 6, "mxfp8_e4m3": 17, "mxfp6_e2m3": 5, "bfp12": 2}
    assert {name: FORMATS[name].element.top for name in tops} == tops
    digits = {"int4_g32": 0, "mxfp4": 2, "mxint8": 0, "mxfp8_e4m3": 4, "mxfp8_e5m2": 3, "mxfp6_e2m3": 4}
    assert {name: FORMATS[name].element.digits for name in digits} == digits
    assert all(format_named(name).element.precision == spec.digits for name, spec in SPECS.items())


def test_scale_codes_are_those_of_e8m0():
    scale = PowerOfTwo(fraction=0)
    codes = np.arange(255, dtype=np.uint8)
    values = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    np.testing.assert_array_equal(scale.decode(codes, 1.0), values)
    np.testing.assert_array_equal(scale.encode(values, 1.0), codes)
    for bad in (3.0, 2.0**128, 2.0**-128):
        with pytest.raises(ValueError, match="no power of two that"):
            scale.encode(np.array([bad]), 1.0)
