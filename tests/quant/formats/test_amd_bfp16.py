"""The three behaviours of AMD's BFP16: golden vectors worked out by hand from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.quant.formats import FORMATS

QUARK, BUMP, TRUNC = "bfp16_quark", "bfp16_bump", "bfp16_aie_trunc"
ONE = 127
"""The exponent field of 1.0."""

GOLDEN = [
    # 1.99999 * 64 = 127.99936: clamped, bumped to 63.99968 * 2, or cut off.
    ([1.99999, 0.5], {QUARK: (ONE, 127, 32), BUMP: (ONE + 1, 64, 16), TRUNC: (ONE, 127, 32)}),
    ([-1.99999, 0.5], {QUARK: (ONE, -127, 32), BUMP: (ONE, -128, 32), TRUNC: (ONE, -128, 32)}),
    # The border: 127.5 is a tie that goes to the even 128.
    ([127.5 / 64, 1 / 64], {QUARK: (ONE, 127, 1), BUMP: (ONE + 1, 64, 0), TRUNC: (ONE, 127, 1)}),
    ([127.49 / 64, 1 / 64], {QUARK: (ONE, 127, 1), BUMP: (ONE, 127, 1), TRUNC: (ONE, 127, 1)}),
    ([-127.5 / 64, 1 / 64], {QUARK: (ONE, -127, 1), BUMP: (ONE, -128, 1), TRUNC: (ONE, -128, 1)}),
    # A small negative number next to 1: to nearest it is 0, cut off it is -1.
    ([1.0, -1e-6], {QUARK: (ONE, 64, 0), BUMP: (ONE, 64, 0), TRUNC: (ONE, 64, -1)}),
    ([1.0, -1e-300], {QUARK: (ONE, 64, 0), BUMP: (ONE, 64, 0), TRUNC: (ONE, 64, -1)}),
    ([1.0, 1e-6], {QUARK: (ONE, 64, 0), BUMP: (ONE, 64, 0), TRUNC: (ONE, 64, 0)}),
    # Ties go to even; cut off, they go down.
    ([1.0, 2.5 / 64], {QUARK: (ONE, 64, 2), BUMP: (ONE, 64, 2), TRUNC: (ONE, 64, 2)}),
    ([1.0, 3.5 / 64], {QUARK: (ONE, 64, 4), BUMP: (ONE, 64, 4), TRUNC: (ONE, 64, 3)}),
    ([1.0, -2.5 / 64], {QUARK: (ONE, 64, -2), BUMP: (ONE, 64, -2), TRUNC: (ONE, 64, -3)}),
    # A bumped block is rounded from the real numbers: 1.49 steps are 0.745 of the larger ones, and by way of 1 0.5.
    ([1.99999, 1.49 / 64], {QUARK: (ONE, 127, 1), BUMP: (ONE + 1, 64, 1), TRUNC: (ONE, 127, 1)}),
    # -2 is a power of two: its exponent is its own.
    ([-2.0, 1 / 64], {QUARK: (ONE + 1, -64, 0), BUMP: (ONE + 1, -64, 0), TRUNC: (ONE + 1, -64, 0)}),
    ([0.0, 0.0], {QUARK: (0, 0, 0), BUMP: (0, 0, 0), TRUNC: (0, 0, 0)}),
    # Subnormal: exponent field 0, one step 2**-133.
    ([2.0**-127, -(2.0**-149)], {QUARK: (0, 64, 0), BUMP: (0, 64, 0), TRUNC: (0, 64, -1)}),
    # The greatest exponent, 254, has no successor: clamped.
    ([2.0**128 - 2.0**104, 0.0], {QUARK: (254, 127, 0), BUMP: (254, 127, 0), TRUNC: (254, 127, 0)}),
    ([-(2.0**128), 0.0], {QUARK: (254, -127, 0), BUMP: (254, -128, 0), TRUNC: (254, -128, 0)}),
]


@pytest.mark.parametrize("name", [QUARK, BUMP, TRUNC])
@pytest.mark.parametrize(("x", "expected"), GOLDEN, ids=[str(x) for x, _ in GOLDEN])
def test_golden(name, x, expected):
    exponent, *mantissas = expected[name]
    block = FORMATS[name]
    blocks = block.quantize(np.array([*x, 0, 0, 0, 0, 0, 0]))
    data = block.pack(blocks)
    assert len(data) == 9 and data[0] == exponent
    assert np.frombuffer(data, np.int8)[1:3].tolist() == mantissas
    np.testing.assert_array_equal(blocks.values()[:2], np.array(mantissas) * 2.0 ** (exponent - 127 - 6))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8))
def test_the_exponent_is_the_greatest_field_of_ieee_754(x):
    fields = (np.array(x, np.float32).view(np.uint32) >> 23) & 0xFF
    data = FORMATS[QUARK].pack(FORMATS[QUARK].quantize(np.array(x, np.float32)))
    assert data[0] == fields.max()


@given(st.lists(st.floats(-8, 8, width=32).filter(lambda v: v == 0 or abs(v) > 2.0**-100), min_size=8, max_size=8))
def test_truncation_is_two_arithmetic_shifts_of_the_bits(x):
    """mlir-aie's way: the 24-bit significand, signed, shifted by 17, then by what its exponent is below the block's."""
    bits = np.array(x, np.float32).view(np.uint32).astype(np.int64)
    fields = (bits >> 23) & 0xFF
    magnitudes = np.where(fields > 0, (bits & 0x7FFFFF) | 0x800000, 0)
    signed = np.where(bits >> 31, -magnitudes, magnitudes)
    expected = (signed >> 17) >> np.minimum(fields.max() - fields, 62)
    got = FORMATS[TRUNC].quantize(np.array(x, np.float32)).significands[0]
    assert got.tolist() == expected.tolist()
