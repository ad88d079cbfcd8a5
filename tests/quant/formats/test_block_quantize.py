"""Quantizing: equal to rational arithmetic for every kind of format; what is refused; names."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgegate.quant.formats import FORMATS, BlockFormat, Blocks, _format, format_named
from tests.quant.formats.exact_blocks import SPECS, grouped, nvfp4, quantized

GROUPED = ("int4_g32", "int8_g32", "int2_g16", "int3_g64")
CLAMPED = [n for n in (*SPECS, *GROUPED) if n not in ("bfp16_bump", "bfp16_aie_trunc")]

plain = st.floats(allow_nan=False, allow_infinity=False)
singles = st.floats(allow_nan=False, allow_infinity=False, width=32)
on_ties = st.builds(lambda i, e: i * 2.0**e, st.integers(-2100, 2100), st.integers(-6, 0))
"""Multiples of small powers of two: half of them are ties of something."""
edges = st.builds(lambda e, d: float(np.nextafter(2.0**e, 2.0**e * d)), st.integers(-140, 127), st.integers(0, 2))
numbers = on_ties | plain | singles | edges


def blocks_of(size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(numbers, min_size=1, max_size=size) | st.lists(on_ties, min_size=2, max_size=size)


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=60)
@given(data=st.data())
def test_powers_of_two_equal_rational_arithmetic(name, data):
    block = format_named(name)
    x = data.draw(blocks_of(block.block))
    got = block.quantize(np.array(x)).values()
    assert [Fraction(v) for v in got.tolist()] == quantized(name, x)


@pytest.mark.parametrize("name", GROUPED)
@settings(max_examples=30)
@given(data=st.data())
def test_grouped_integers_equal_rational_arithmetic(name, data):
    block = format_named(name)
    x = data.draw(blocks_of(16))
    got = block.quantize(np.array(x)).values()
    assert [Fraction(v) for v in got.tolist()] == grouped(block.element.bits, x)


@settings(max_examples=100)
@given(st.lists(on_ties | st.floats(-1e6, 1e6), min_size=32, max_size=48) | st.lists(singles, min_size=16, max_size=48))
def test_nvfp4_equals_rational_arithmetic(x):
    x = x[: len(x) // 16 * 16]
    got = FORMATS["nvfp4"].quantize(np.array(x)).values()
    assert [Fraction(v) for v in got.tolist()] == nvfp4(x)


@pytest.mark.parametrize("name", CLAMPED)
@settings(max_examples=30)
@given(data=st.data())
def test_quantizing_twice_changes_nothing(name, data):
    block = format_named(name)
    x = np.array(data.draw(blocks_of(block.block)))
    once = block.quantize(x)
    if not block.power_of_two:  # among float16's subnormals the scale is too coarse for it
        assume((once.scales >= 2.0**-14).all())
    np.testing.assert_array_equal(block.quantize(once.values()).values(), once.values())


@given(st.lists(st.floats(-100, 100), min_size=33, max_size=64))
def test_quantizing_nvfp4_twice_changes_nothing(x):
    once = FORMATS["nvfp4"].quantize(np.array(x))
    assume((once.block_scales >= 2.0**-7).all())  # E4M3 is normal from 2**-6 on
    np.testing.assert_array_equal(FORMATS["nvfp4"].quantize(once.values()).values(), once.values())


@pytest.mark.parametrize("name", ["bfp16_bump", "bfp16_aie_trunc"])
def test_quantizing_twice_moves_a_block_that_reaches_its_least_significand(name):
    """-128 steps are a power of two of their own, whose exponent is one larger: the odd 1 beside is lost."""
    once = FORMATS[name].quantize(np.array([-127.8, 1.0]))
    assert once.significands[0, 0] == -128
    assert (FORMATS[name].quantize(once.values()).values() != once.values()).any()


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4_g32", "bfp16_bump", "bfp16_aie_trunc", "mxfp8_e5m2"])
@pytest.mark.parametrize("shape", [(3, 5, 40), (77,), (1, 300), (300, 1), (2, 64)])
def test_chunks_and_shapes_change_nothing(name, shape, monkeypatch):
    block = format_named(name)
    x = np.random.default_rng(3).normal(size=shape) * 2.0 ** np.random.default_rng(4).integers(-9, 9, shape)
    whole = block.quantize(x)
    monkeypatch.setattr(_format, "CHUNK", 64)
    assert block.quantize(x) == whole
    assert whole.shape == shape and whole.length == shape[-1]
    padded = np.zeros((*shape[:-1], -(-shape[-1] // block.block) * block.block))
    padded[..., : shape[-1]] = x
    assert replace(block.quantize(padded), length=shape[-1]) == whole


def test_values_are_significands_times_scales():
    blocks = FORMATS["mxfp4"].quantize(np.array([[0.3, -6.0, 1.4, 0.0]]))
    assert blocks.significands.dtype == np.int32 and blocks.significands.shape == (1, 1, 32)
    assert blocks.significands[0, 0, :4].tolist() == [1, -12, 3, 0] and blocks.scales.tolist() == [[0.5]]
    assert blocks.values().tolist() == [[0.5, -6.0, 1.5, 0.0]]


def test_single_and_half_precision_are_taken_as_they_are():
    x = np.random.default_rng(5).normal(size=(4, 64)).astype(np.float16)
    for name in ("mxint8", "int4_g32", "nvfp4"):
        wide = FORMATS[name].quantize(x.astype(np.float64))
        assert FORMATS[name].quantize(x) == wide == FORMATS[name].quantize(x.astype(np.float32))


def test_the_input_is_not_written():
    x = np.random.default_rng(6).normal(size=(4, 64))
    before = x.copy()
    for block in FORMATS.values():
        block.quantize(x)
    block.significands(x, np.ones((4, 1)))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", FORMATS)
def test_zeros(name):
    blocks = FORMATS[name].quantize(np.zeros((2, 5)))
    assert not blocks.significands.any() and (blocks.scales > 0).all()
    scale = FORMATS[name].scale
    codes = scale.encode(blocks.scales, blocks.tensor_scale)
    assert (codes == (0 if FORMATS[name].power_of_two else 1)).all()  # the least code that is positive


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4_g32", "bfp16_bump"])
def test_nan_and_infinity_are_refused(bad, name):
    x = np.ones((3, 70))
    x[1, 69] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        FORMATS[name].quantize(x)


@pytest.mark.parametrize("bad", [np.ones(3, np.int32), np.ones((2, 0)), np.array(1.0), np.ones(3, complex), [1.0]])
def test_what_is_no_array_of_floats_is_refused(bad):
    with pytest.raises(ValueError, match="must"):
        FORMATS["mxfp4"].quantize(bad)


def test_no_rows():
    assert FORMATS["nvfp4"].quantize(np.ones((0, 20))).values().shape == (0, 20)


def test_significands_of_given_scales():
    x = np.array([[0.24, 0.26, 9.0, -9.0], [1.0, 1.6, 5.0, -3.5]])
    got = FORMATS["mxfp4"].significands(x, np.array([[0.5], [1.0]]))
    assert got.tolist() == [[0, 1, 12, -12], [1, 2, 4, -4]]
    assert FORMATS["mxfp4"].significands(np.array(1.0), np.array(0.5)).shape == ()
    with np.errstate(all="raise"):
        assert FORMATS["int4_g32"].significands(np.array([1e300]), np.array(1e-300)).tolist() == [7]


def test_names():
    assert format_named("bfp12_b32") is format_named("bfp12") and format_named("bfp16").element.bits == 8
    assert format_named("mxfp4-ceil") == FORMATS["mxfp4"].with_rule("ceil")
    assert format_named("mxfp4-ceil").name == "mxfp4-ceil" and format_named("mxfp4-floor") == FORMATS["mxfp4"]
    assert format_named("mxfp4-ceil").with_rule("even").name == "mxfp4-even"
    assert all(format_named(name).name == name for name in FORMATS)
    for name, hint in (("mxfp5", "did you mean mxfp4"), ("bfp12_b33", "bfp12_b32"), ("", "there are int<bits>_g")):
        with pytest.raises(ValueError, match=hint):
            format_named(name)
    for name in ("mxfp4-up", "mxfp4-", "mxfp4-ceil-ceil"):
        with pytest.raises(ValueError, match="the rules are floor, even, ceil"):
            format_named(name)


def test_sizes():
    bits = {"mxfp4": 4.25, "nvfp4": 4.5, "int4_g32": 4.5, "bfp12": 4.25, "bfp12_b128": 4.0625, "bfp16_quark": 9.0}
    assert {name: FORMATS[name].bits_per_value for name in bits} == bits
    assert {n for n, f in FORMATS.items() if not f.power_of_two} == {n for n in FORMATS if n[:3] in ("int", "nvf")}


def test_a_format_refuses_impossible_attributes():
    base = FORMATS["mxfp4"]
    for bad in ({"rule": "up"}, {"rounding": "up"}, {"overflow": "wrap"}, {"block": 12}, {"block": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            replace(base, **bad)
    with pytest.raises(ValueError, match="bumped"):
        replace(FORMATS["int4_g32"], overflow="bump")


def test_blocks_refuse_what_does_not_fit():
    good = FORMATS["mxfp4"].quantize(np.ones((2, 40)))
    for bad in (
        {"length": 80},
        {"scales": good.scales[0]},
        {"scales": -good.scales},
        {"scales": good.scales * np.inf},
        {"significands": good.significands.astype(float)},
    ):
        with pytest.raises(ValueError, match=r"fit|positive|must be"):
            replace(good, **bad)
    assert good != "blocks" and isinstance(good, Blocks) and isinstance(FORMATS["mxfp4"], BlockFormat)
