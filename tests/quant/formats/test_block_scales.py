"""How scales are chosen: the rules at their borders, both ends of every code, and the statistics of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.quant.formats import FORMATS, format_named
from edgegate.quant.formats._scale import PowerOfTwo


def scale(name, *values):
    return float(format_named(name).quantize(np.array(values)).scales[0])


@pytest.mark.parametrize(
    ("name", "greatest", "expected"),
    [
        # E2M1 ends at 6 = 1.5 * 4; one step is half of the scale X.
        ("mxfp4", 4.0, 0.5),
        ("mxfp4", 7.999, 0.5),
        ("mxfp4", np.nextafter(8, 0), 0.5),
        ("mxfp4", 8.0, 1.0),
        ("mxfp4-even", np.nextafter(7, 0), 0.5),
        ("mxfp4-even", 7.0, 1.0),
        ("mxfp4-ceil", 6.0, 0.5),
        ("mxfp4-ceil", np.nextafter(6, 7), 1.0),
        ("mxfp4-ceil", 8.0, 1.0),
        # E4M3 ends at 448 = 1.75 * 256.
        ("mxfp8_e4m3", 511.0, 2.0**-9),
        ("mxfp8_e4m3-even", 495.9, 2.0**-9),
        ("mxfp8_e4m3-even", 496.0, 2.0**-8),
        ("mxfp8_e4m3-ceil", 448.0, 2.0**-9),
        ("mxfp8_e4m3-ceil", 448.1, 2.0**-8),
        # int8 ends at 127/64.
        ("mxint8", np.nextafter(2, 0), 2.0**-6),
        ("mxint8-even", np.nextafter(127.5 / 64, 0), 2.0**-6),
        ("mxint8-even", 127.5 / 64, 2.0**-5),
        ("mxint8-ceil", 127 / 64, 2.0**-6),
        ("mxint8-ceil", np.nextafter(127 / 64, 2), 2.0**-5),
        ("bfp12", 1.0, 0.25),
        ("bfp16_quark", 1.0, 2.0**-6),
    ],
)
def test_rules_at_their_borders(name, greatest, expected):
    assert scale(name, greatest, 0.1) == scale(name, 0.0, -greatest) == expected


@pytest.mark.parametrize("name", [n for n in FORMATS if FORMATS[n].power_of_two])
def test_both_ends_of_the_exponent(name):
    block = FORMATS[name]
    assert isinstance(block.scale, PowerOfTwo)
    fraction = block.scale.fraction
    least, most = 2.0 ** (-127 - fraction), 2.0 ** (127 - fraction)
    assert scale(name, 5e-324) == scale(name, 0.0) == least
    assert scale(name, 1e308) == scale(name, -1e308) == most
    assert block.quantize(np.array([1e308, -1e308])).significands[0, :2].tolist() in (
        [block.element.high, -block.element.high],
        [block.element.high, block.element.low],
    )
    for x, code in ((2.0**-126, 1), (2.0**-127, 0), (2.0**-149, 0), (2.0**127, 254)):
        emax = block.element.top - fraction
        assert block.pack(block.quantize(np.array([x * 2.0**emax])))[0] == code


def test_subnormal_floats_have_exact_exponents():
    """The leading bit of the smallest float32 is found, where a logarithm in float32 would see 0."""
    small = np.array([2.0**-149, 3 * 2.0**-149, -(2.0**-127)], np.float32)
    assert FORMATS["mxint8"].quantize(small[2:]).scales[0] == 2.0**-133
    assert FORMATS["mxint8"].quantize(small[:1]).significands[0, 0] == 0
    assert FORMATS["mxfp8_e5m2"].quantize(small).values()[2] == -(2.0**-127)


def test_the_number_below_a_power_of_two_keeps_its_exponent():
    """floor(log2(x)) in float32 gives 24 for 2**24 - 1 last place: brevitas and microxcaling compute that."""
    for exponent in range(-120, 128):
        x = np.nextafter(np.float32(2.0**exponent), np.float32(0))
        assert FORMATS["mxint8"].quantize(np.array([x])).scales[0] == max(2.0 ** (exponent - 7), 2.0**-133)


def test_grouped_scales_are_rounded_up_to_float16():
    block = FORMATS["int4_g32"]
    x = np.array([1.0, -0.5])
    found = block.quantize(x).scales[0]
    assert found == float(np.nextafter(np.float16(1 / 7), np.float16(1)))  # 1/7 to nearest is below it
    assert np.float64(np.float16(1 / 7)) * 7 < 1 <= found * 7
    assert scale("int4_g32", 7.0) == 1.0 and scale("int4_g32-floor", 1.0) == float(np.float16(1 / 7))
    assert scale("int4_g32", 1e-9) == scale("int4_g32", 0.0) == 2.0**-24
    assert scale("int4_g32", 1e9) == 65504.0
    assert block.quantize(np.array([1e9, -1e308])).significands[0, :2].tolist() == [7, -7]


@pytest.mark.parametrize("name", ["int4_g32", "int8_g128", "mxfp4-ceil", "mxint8-ceil", "nvfp4-ceil"])
def test_ceil_saturates_nothing(name):
    x = np.random.default_rng(0).normal(size=(64, 128))
    blocks = format_named(name).quantize(x)
    assert (
        np.abs(x.reshape(*blocks.scales.shape, -1)).max(-1) <= blocks.scales * format_named(name).element.high
    ).all()


def test_nvfp4_scales():
    x = np.zeros((2, 32))
    x[0, 0], x[0, 16], x[1, 0] = 2688.0, 6.0, 6 * 17 / 16
    blocks = FORMATS["nvfp4"].quantize(x)
    assert blocks.tensor_scale == 1.0
    # 448, 1, 1.0625 on a tie (to even: 1), and the least for zeros; a step is half of it.
    assert (2 * blocks.block_scales).tolist() == [[448.0, 1.0], [1.0, 2.0**-9]]
    assert (2 * format_named("nvfp4-ceil").quantize(x).block_scales)[1, 0] == 1.125
    third = FORMATS["nvfp4"].quantize(x / 3)
    assert third.tensor_scale == float(np.float32(1 / 3))
    np.testing.assert_array_equal(third.scales, third.block_scales * third.tensor_scale)
    assert FORMATS["nvfp4"].quantize(np.array([1e308])).tensor_scale == float(np.finfo(np.float32).max)
    assert FORMATS["nvfp4"].quantize(np.array([1e-44])).tensor_scale == 2.0**-126


@pytest.fixture(scope="module")
def gaussian():
    return np.random.default_rng(7).normal(size=(16, 1 << 14))


SQNR = {
    "mxfp4": 18.8,
    "nvfp4": 20.4,
    "int4_g32": 20.2,
    "bfp12": 17.6,
    "bfp12_b16": 18.6,
    "mxfp6_e2m3": 31.0,
    "mxfp8_e4m3": 30.7,
    "mxint8": 41.7,
    "bfp16_quark": 44.1,
}
"""Signal over noise of Gaussian data, in dB, as measured before this implementation and apart from it."""


@pytest.mark.parametrize("name", SQNR)
def test_noise_of_gaussian_data(name, gaussian):
    noise = FORMATS[name].quantize(gaussian).values() - gaussian
    assert -10 * np.log10((noise**2).mean()) == pytest.approx(SQNR[name], abs=0.1)


@pytest.mark.parametrize(
    ("name", "floor", "ceil"),
    [
        ("mxfp4", 1.323e-2, 1.339e-2),
        ("mxfp6_e2m3", 8.0e-4, 8.0e-4),
        ("mxfp8_e4m3", 8.6e-4, 7.0e-4),
        ("mxint8", 6.8e-5, 6.9e-5),
    ],
)
def test_noise_of_the_scale_rules(name, floor, ceil, gaussian):
    for rule, expected in (("floor", floor), ("ceil", ceil)):
        noise = FORMATS[name].with_rule(rule).quantize(gaussian).values() - gaussian
        assert (noise**2).mean() == pytest.approx(expected, rel=0.015)


def test_truncation_is_four_times_the_noise_and_a_bias(gaussian):
    noise = FORMATS["bfp16_aie_trunc"].quantize(gaussian).values() - gaussian
    assert (noise**2).mean() == pytest.approx(1.54e-4, rel=0.02)
    assert noise.mean() == pytest.approx(-0.010, abs=0.001)


def test_floor_saturates_three_blocks_of_ten(gaussian):
    """29.5 % of Gaussian MXFP4 blocks have a value beyond 6 X, and 16.6 % one from 7 X on, which 8 X is nearer to."""
    greatest = np.abs(gaussian.reshape(16, -1, 32)).max(-1) / (2 * FORMATS["mxfp4"].quantize(gaussian).scales)
    assert (greatest > 6).mean() == pytest.approx(0.295, abs=0.015)
    assert (greatest >= 7).mean() == pytest.approx(0.166, abs=0.015)
    even = format_named("mxfp4-even").quantize(gaussian)
    assert (even.scales != FORMATS["mxfp4"].quantize(gaussian).scales).mean() == pytest.approx(0.166, abs=0.015)
