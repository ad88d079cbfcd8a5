"""Scales as integers over a unit: exact, as small as asked, and quantized again where that made them coarser."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.formats import FORMATS, format_named

NAMES = ["mxfp4", "nvfp4", "int4_g32", "bfp12_b8", "bfp16_bump", "bfp16_quark", "mxfp8_e5m2", "int8_g16"]


def spread(seed, shape=(6, 130), octaves=12):
    """Rows whose blocks differ by powers of two."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 2.0 ** np.repeat(rng.integers(-octaves, octaves, (shape[0], 26)), shape[1] // 26, -1)
    x[1] = 0
    x[2, :64] = 0
    return x


def exact(blocks, scales):
    """Multipliers and unit give back every scale that a value has."""
    assert scales.multipliers.dtype == np.int32 and (scales.multipliers > 0).all()
    products = scales.multipliers * scales.unit[..., None]
    live = blocks.significands.any(-1)
    np.testing.assert_array_equal(products[live], blocks.scales[live])
    assert (scales.multipliers[~live] == 1).all()
    return products


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("per_row", [False, True])
def test_scales_are_multipliers_times_a_unit(name, per_row):
    blocks = format_named(name).quantize(spread(0, octaves=3))
    scales = blocks.integer_scales(per_row=per_row)
    exact(blocks, scales)
    assert scales.unit.shape == ((6,) if per_row else ()) and not scales.raised.any()
    units = scales.unit / blocks.tensor_scale
    assert (np.frexp(units)[0] == 0.5).all()
    rows = scales.multipliers if per_row else scales.multipliers.reshape(1, -1)
    assert (np.bitwise_or.reduce(rows, -1) % 2 == 1).all()  # the unit is the largest that divides them all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bits", [4, 12])
@pytest.mark.parametrize("per_row", [False, True])
@settings(max_examples=8)
@given(seed=st.integers(0, 99))
def test_few_bits_make_small_scales_larger(name, bits, per_row, seed):
    block, x = format_named(name), spread(seed)
    blocks, scales = block.quantize_integer(x, bits=bits, per_row=per_row)
    exact(blocks, scales)
    assert scales.multipliers.max() < 1 << bits
    assert block.unpack(block.pack(blocks), x.shape) == blocks  # raised scales are scales of the format
    plain = block.quantize(x)
    kept = ~scales.raised
    np.testing.assert_array_equal(blocks.significands[kept], plain.significands[kept])
    live = plain.significands.any(-1)
    np.testing.assert_array_equal(blocks.scales[kept & live], plain.scales[kept & live])
    assert (blocks.scales >= plain.scales).all()
    padded = np.zeros((6, blocks.scales.shape[1] * block.block))
    padded[:, :130] = x
    error = np.abs(blocks.values() - x)
    coarse = (np.abs(padded).reshape(*blocks.scales.shape, -1).max(-1) / 8)[..., None] + 0.51 * blocks.scales[..., None]
    bound = np.broadcast_to(coarse, blocks.significands.shape).reshape(6, -1)[:, :130]
    assert name != "mxfp8_e5m2" or (error <= bound).all()


def test_what_does_not_fit_is_refused_or_raised():
    x = np.zeros((1, 64))
    x[0, 0], x[0, 1], x[0, 32] = 1.0, 2.0**-9, 2.0**-9
    blocks = FORMATS["mxint8"].quantize(x)
    assert blocks.integer_scales(bits=10).multipliers.tolist() == [[512, 1]]
    with pytest.raises(ValueError, match="multipliers of 10 bits, and 9 were allowed"):
        blocks.integer_scales(bits=9)
    raised = blocks.integer_scales(bits=9, clamp=True)
    assert raised.multipliers.tolist() == [[256, 1]] and raised.raised.tolist() == [[False, True]]
    again, scales = FORMATS["mxint8"].quantize_integer(x, bits=9)
    assert again.significands[0, :, 0].tolist() == [64, 32] and scales.raised.tolist() == [[False, True]]
    assert again == FORMATS["mxint8"].quantize(x, unit=raised.unit)
    # With 1 bit every block has the greatest scale.
    one, scales = FORMATS["mxint8"].quantize_integer(x, bits=1)
    assert scales.multipliers.tolist() == [[1, 1]] and one.scales.tolist() == [[2.0**-6, 2.0**-6]]


def test_a_multiplier_that_rounds_up_beyond_its_bits_takes_a_larger_unit():
    """Scales 1.9990234375 and 1.0 in 4 bits: 15.99 would become 16."""
    x = np.zeros((1, 64))
    x[0, 0], x[0, 32] = 7 * (2 - 2.0**-10), 7.0
    blocks, scales = FORMATS["int4_g32"].quantize_integer(x, bits=4)
    assert scales.multipliers.tolist() == [[2, 1]] and float(scales.unit) == 1.0  # 8 and 4 quarters, reduced
    assert blocks.scales.tolist() == [[2.0, 1.0]] and scales.raised.tolist() == [[True, False]]


def test_units_keep_the_bump():
    x = np.zeros((1, 16))
    x[0, :2], x[0, 8:] = (1.9999, 0.1), 1 / 64
    blocks, scales = FORMATS["bfp16_bump"].quantize_integer(x, bits=4)
    exact(blocks, scales)
    assert blocks.scales[0, 0] == 2.0**-5 and scales.multipliers.tolist() == [[8, 1]]


def test_zeros_and_no_rows_have_scales():
    for shape in ((2, 40), (0, 40)):
        for per_row in (False, True):
            blocks, scales = FORMATS["nvfp4"].quantize_integer(np.zeros(shape), per_row=per_row)
            assert (scales.multipliers == 1).all() and scales.multipliers.shape == blocks.scales.shape
            assert (scales.unit > 0).all() and not scales.raised.any()


def test_scales_far_apart_are_no_trouble():
    x = np.zeros((1, 64))
    x[0, 0], x[0, 32] = 1e300, 1e-300
    blocks, scales = FORMATS["mxint8"].quantize_integer(x, bits=31)
    assert scales.multipliers.tolist() == [[1 << 30, 1]] or not blocks.significands[0, 1].any()


@pytest.mark.parametrize("unit", [0.3, 0.0, -1.0, np.inf, np.nan, 2.0**127])
def test_a_unit_is_a_power_of_two(unit):
    with pytest.raises(ValueError, match="a unit must be"):
        FORMATS["mxint8"].quantize(np.ones((2, 32)), unit=unit)
    with pytest.raises(ValueError, match="a unit must be"):
        FORMATS["nvfp4"].quantize(np.ones((2, 32)), unit=np.array([unit, 1.0]))


@pytest.mark.parametrize("bits", [0, 32])
def test_bits_are_checked(bits):
    with pytest.raises(ValueError, match="bits must lie in"):
        FORMATS["mxint8"].quantize(np.ones((2, 32))).integer_scales(bits=bits)
