"""BlockQuantize gives the values of quant/formats, on integers, for every format that int8 significands can hold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.ops import OPS, Interval
from edgegate.ops.block_quantize import OVERFLOWS, ROUNDINGS, RULES
from edgegate.quant.formats import FORMATS, BlockFormat

OP = OPS["edgegate", "BlockQuantize"]
HELD = [f for f in FORMATS.values() if f.power_of_two and f.element.high <= 127]
VARIANTS = [f.with_rule(rule) for f in HELD for rule in (RULES if f.element.fills else ("floor",))]


def settings_of(made: BlockFormat) -> dict[str, int]:
    """The attributes that say a format."""
    element = made.element
    return {
        "block": made.block, "low": element.low, "high": element.high, "digits": element.digits, "top": element.top,
        "rule": RULES[made.rule], "rounding": ROUNDINGS[made.rounding], "overflow": OVERFLOWS[made.overflow],
        "input_zero_point": 0,
    }  # fmt: skip


def values(x: Any, settings: dict[str, int]) -> Any:
    """What significands and exponents stand for, as integers."""
    significands, exponents = OP.reference(x, **settings)
    assert (significands.dtype, exponents.dtype, exponents.min() >= 0) == (np.int8, np.int8, True)
    assert settings["low"] <= significands.min() <= significands.max() <= settings["high"]
    return significands.astype(np.int64) << np.repeat(exponents, settings["block"], -1)


def test_the_formats_are_the_ones_meant() -> None:
    names = {f.name for f in HELD}
    assert {"bfp12", "bfp16", "bfp16_bump", "bfp16_aie_trunc", "msfp12", "mxint8", "mxfp4", "mxfp6_e2m3"} <= names
    assert not names & {"nvfp4", "int4_g32", "mxfp8_e4m3", "mxfp6_e3m2"}


@pytest.mark.parametrize("made", VARIANTS, ids=lambda f: f.name)
def test_each_format_has_its_values(made: BlockFormat) -> None:
    """Blocks of every magnitude, whose elements are around ties, with every greatest value that has few bits."""
    rng, settings = np.random.default_rng(5), settings_of(made)
    small = np.repeat(np.arange(-300, 300)[:, None], made.block, 1)
    small[:, 1:] = rng.integers(-300, 301, small[:, 1:].shape) >> rng.integers(0, 10, small[:, 1:].shape)
    ties = (np.int64(1) << rng.integers(0, 31, (400, made.block))) * rng.choice(
        [-7, -3, -1, 1, 3, 5], (400, made.block)
    )
    ties = (ties >> rng.integers(0, 31, (400, 1))) + rng.integers(-1, 2, (400, made.block))
    ends = rng.choice([-(1 << 31), (1 << 31) - 1, 0, 1 << 30, 127 << 24, 255 << 23], (50, made.block))
    x = np.clip(np.concatenate([small, ties, ends]), -(1 << 31), (1 << 31) - 1).astype(np.int32)
    np.testing.assert_array_equal(values(x, settings), on_integers(made, x))


def on_integers(made: BlockFormat, x: Any) -> Any:
    """The values of the format; where it saturates between two integers, it is at the lesser one."""
    stored = made.quantize(x.astype(np.float64)).values()
    return stored if made.element.fills else np.trunc(stored)


def test_a_step_is_halved_where_the_exponent_stands_for_more() -> None:
    """What is beyond the block's power of two is cut off; the power of two itself only above zero."""
    settings = settings_of(FORMATS["mxint8_brevitas_b16"])
    x = np.zeros((3, 16), np.int16)
    x[0, :4], x[1, :3], x[2, :3] = (300, -300, 257, 3), (-256, 256, 255), (100, -100, 63)
    expected = [[254, -256, 254, 4], [-256, 254, 254, 0], [63, -64, 63, 0]]
    assert values(x, settings)[:, :4].tolist() == expected


@given(st.sampled_from(VARIANTS), st.sampled_from(sorted(ROUNDINGS)), st.sampled_from(sorted(OVERFLOWS)),
       st.integers(0, 1 << 32))  # fmt: skip
def test_so_does_what_no_format_has(made: BlockFormat, rounding: str, overflow: str, seed: int) -> None:
    """Any element with any rounding and overflow."""
    overflow = overflow if made.element.fills else "clamp"
    odd = BlockFormat(name="odd", element=made.element, block=8, scale=made.scale, rule=made.rule, rounding=rounding,
                      overflow=overflow)  # fmt: skip
    rng = np.random.default_rng(seed)
    x = (rng.integers(-(1 << 15), 1 << 15, (64, 8)) >> rng.integers(0, 16, (64, 1))).astype(np.int16)
    np.testing.assert_array_equal(values(x, settings_of(odd)), on_integers(odd, x))


@pytest.mark.parametrize("made", VARIANTS[::7], ids=lambda f: f.name)
def test_the_greatest_exponent_is_proved_and_reached(made: BlockFormat) -> None:
    settings = settings_of(made)
    for low, high in ((-128, 127), (-(1 << 31), (1 << 31) - 1), (0, 255), (-5, 3), (-90, -80), (7, 7)):
        ends = np.full(made.block, low, np.int64)
        ends[0] = high
        bound = OP.bounds(Interval(low=low, high=high, dims=(1, made.block)), **settings)
        significands, exponents = OP.reference(ends, **settings)
        assert bound.more[0].high == exponents[0]
        assert bound.output.low <= significands.min() <= significands.max() <= bound.output.high


@pytest.mark.parametrize(("change", "said"), [
    ({"high": 128, "top": 7}, "no format of int8"), ({"low": -5}, "no format"), ({"top": 1}, "no format"),
    ({"digits": 9}, "no format"), ({"rule": 3}, "no rule 3"), ({"rounding": 4}, "rounding 4"),
    ({"top": 3, "rule": 1}, "no format"), ({"top": 3, "overflow": 1}, "no format"), ({"top": 4}, "no format"),
    ({"overflow": 2}, "overflow 2"), ({"block": 7}, "8 channels are no whole number of blocks of 7"),
    ({"input_zero_point": -(1 << 34)}, "33 bits cannot hold"),
])  # fmt: skip
def test_what_is_no_format_is_refused(change: dict[str, int], said: str) -> None:
    settings = {**settings_of(FORMATS["bfp12_b8"]), **change}
    with pytest.raises(OverflowError, match=said):
        OP.bounds(Interval(low=-128, high=127, dims=(3, 8)), **settings)
