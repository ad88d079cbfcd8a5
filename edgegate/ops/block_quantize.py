"""BlockQuantize: integers to block floating point, significands with one exponent for each block of the last axis.

    x - input_zero_point ~ significand << exponent,  exponent >= 0

With amax the block's greatest magnitude, one step of the format is 2**e, e = floor(log2(amax)) - top, one more where

* rule ``even``: amax rounds up to the next power of two in the format's precision;
* rule ``ceil``: amax passes ``high`` steps;
* overflow ``bump``: an element rounds to a step outside [low, high].

Elements are rounded to steps (minifloats to ``digits`` significant bits, never finer than a step) and saturated at
``low`` and ``high`` steps. A step below one needs no rounding of integers, so exponent is max(e, 0) and nothing is
lost, but saturation stays where it was: with a ``top`` one beyond ``high``, which cuts off all above amax's power of
two, it may lie between two integers, and is at the lesser one. Everything follows from bit lengths: no float takes
part.

Source: OCP Microscaling Formats 1.0, section 6.3; the variants are those of ``edgegate.quant.formats``, whose values
these are for every format whose scales are powers of two and whose significands fit int8 (but for that lesser integer,
where amax is below ``2**top``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops import _block_quantize
from edgegate.ops._blocks import cut, whole
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample

RULES = {"floor": 0, "even": 1, "ceil": 2}
"""Values of the attribute ``rule`` by the formats' names."""
ROUNDINGS = {"half_even": 0, "half_up": 1, "truncate": 2, "half_away": 3}
"""Values of the attribute ``rounding``."""
OVERFLOWS = {"clamp": 0, "bump": 1}
"""Values of the attribute ``overflow``."""


def reference(
    x: Array, *, block: int, low: int, high: int, digits: int, top: int, rule: int, rounding: int, overflow: int,
    input_zero_point: int,
) -> tuple[Array, Array]:  # fmt: skip
    """Quantize.

    Args:
        x: int8, uint8, int16 or int32 [..., K], K a multiple of ``block``.
        block: Elements that share an exponent.
        low: Least significand, -high or -high - 1.
        high: Greatest significand, at most 127.
        digits: Significant bits of a minifloat's significands; 0 for integers.
        top: floor(log2(high)), or one more, with the rule ``floor`` and the overflow ``clamp``: then the step is half.
        rule: One of ``RULES``.
        rounding: One of ``ROUNDINGS``; ``truncate`` is toward -infinity.
        overflow: One of ``OVERFLOWS``.
        input_zero_point: Subtracted first.

    Returns:
        Significands int8 [..., K] and exponents int8 [..., K / block].
    """
    blocks = cut(x.astype(np.int64) - input_zero_point, block)
    ends = np.stack([blocks.max(-1), blocks.min(-1)], -1)
    step = exponent(ends, high, digits, top, rule)
    if overflow:
        least, most = limits(step, low, high)
        rounded = rounded_to(ends, np.maximum(step, 0), digits, rounding)
        step = step + ((rounded > most) | (rounded < least)).any(-1, keepdims=True)
    shift, (least, most) = np.maximum(step, 0), limits(step, low, high)
    significands = np.clip(rounded_to(blocks, shift, digits, rounding), least, most)
    return significands.astype(np.int8).reshape(x.shape), shift[..., 0].astype(np.int8)


def bit_length(x: Array) -> Array:
    """Bits of integers in [0, 2**33)."""
    return np.searchsorted(np.int64(1) << np.arange(34), x, side="right").astype(np.int64)


def exponent(ends: Array, high: int, digits: int, top: int, rule: int) -> Array:
    """log2 of a step for blocks whose greatest and least values are ``ends`` [..., 2]; negative for small values."""
    greatest = np.abs(ends).max(-1, keepdims=True)
    length, precision = bit_length(greatest), digits or top + 1
    power = np.int64(1) << length
    carries = {
        0: np.zeros_like(length),
        1: (greatest << (precision + 1)) >= power * ((1 << (precision + 1)) - 1),
        2: (greatest << (top + 1)) > power * high,
    }
    return length - 1 - top + carries[rule] * (greatest > 0)


def limits(step: Array, low: int, high: int) -> tuple[Array, Array]:
    """The least and the greatest significand; fewer where a step is below one."""
    finer = np.maximum(-step, 0)
    return -(-low >> finer), high >> finer


def rounded_to(x: Array, shift: Array, digits: int, rounding: int) -> Array:
    """int64 ``x`` in steps of ``2**shift``, as the element's grid has them, not saturated."""
    drop = np.maximum(shift, bit_length(np.abs(x)) - digits) if digits else shift
    carry = {0: (x >> drop) & 1, 1: 1, 2: 0, 3: x >= 0}[rounding]
    half = (np.int64(1) << drop) >> 1
    bias = 0 if rounding == 2 else np.maximum(half - 1 + carry, 0)
    return ((x + bias) >> drop) << (drop - shift)


def bounds(
    x: Interval, *, block: int, low: int, high: int, digits: int, top: int, rule: int, rounding: int, overflow: int,
    input_zero_point: int,
) -> Bound:  # fmt: skip
    """Significands within the format; the greatest exponent is that of the ends of the interval."""
    whole(x, block)
    if (
        not 0 < high <= 127
        or low not in (-high, -high - 1)
        or not 0 <= digits <= high.bit_length()
        or top - high.bit_length() not in ((-1,) if rule or overflow else (-1, 0))
    ):
        raise OverflowError(f"[{low}, {high}] with top {top} and {digits} digits is no format of int8 significands")
    if rule not in RULES.values() or rounding not in ROUNDINGS.values() or overflow not in OVERFLOWS.values():
        raise OverflowError(f"there is no rule {rule} with rounding {rounding} and overflow {overflow}")
    centred = x.shifted(-input_zero_point)
    if max(-centred.low, centred.high) >> 33:
        raise OverflowError(f"the input reaches [{centred.low}, {centred.high}], which 33 bits cannot hold")
    settings = {"low": low, "high": high, "digits": digits, "top": top, "rule": rule}
    settings |= {"rounding": rounding, "overflow": overflow, "input_zero_point": 0}
    _, most = reference(np.array([centred.low, centred.high]), block=2, **settings)
    significands = Interval(low=low if centred.low < 0 else 0, high=high if centred.high > 0 else 0)
    return Bound(output=significands, more=(Interval(low=0, high=int(most[0])),))


INT3, INT4, INT8, E2M1, E2M3 = (
    {"low": -high, "high": high, "top": high.bit_length() - 1, "digits": digits}
    for high, digits in ((3, 0), (7, 0), (127, 0), (12, 2), (60, 4))
)
BYTE = {**INT8, "low": -128}
HALVED, HALVED4 = {**BYTE, "top": 7}, {**INT4, "low": -8, "top": 3}
"""Elements, as attributes."""


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Every rule, rounding and overflow; blocks of zeros, of extremes, of ties, of each magnitude."""
    settings = [
        (np.int32, 32, INT8, (0, 0, 0), 0), (np.int32, 8, BYTE, (0, 0, 1), 0), (np.int16, 8, BYTE, (0, 2, 0), 0),
        (np.int32, 32, E2M1, (0, 0, 0), 0), (np.int16, 32, E2M1, (1, 0, 0), 3), (np.int32, 32, E2M1, (2, 3, 0), 0),
        (np.int32, 16, INT4, (1, 1, 0), 5), (np.int8, 16, INT4, (2, 3, 1), -128), (np.uint8, 8, INT3, (0, 0, 0), 100),
        (np.int16, 8, INT8, (0, 0, 1), 0), (np.int16, 8, INT4, (0, 3, 1), 0),
        (np.int32, 32, E2M3, (2, 0, 0), 0), (np.int16, 8, E2M3, (0, 1, 1), 0),
        (np.int32, 32, HALVED, (0, 0, 0), 0), (np.int16, 16, HALVED4, (0, 1, 0), 0),
        (np.int16, 8, HALVED, (0, 0, 0), 3),
    ]  # fmt: skip
    for dtype, block, element, (rule, rounding, overflow), zero_point in settings:
        attributes = {**element, "rule": rule, "rounding": rounding, "overflow": overflow}
        x = _blocks(rng, dtype, block, zero_point)
        yield Sample(inputs=(x,), attributes={"block": block, "input_zero_point": zero_point, **attributes})


def _blocks(rng: np.random.Generator, dtype: Any, block: int, zero_point: int) -> Array:
    """[4, 8 * block]: blocks of any magnitude, of ties, of zeros and ends, and of what the rules just round up."""
    info = np.iinfo(dtype)
    size = rng.integers(0, info.bits, (4, 8, 1))
    x = spread(rng, dtype, (4, 8, block)).astype(np.int64) >> size
    near = np.int64(1) << rng.integers(0, info.bits, (8, block))
    x[1] = (rng.choice([-3, -1, 1, 3], (8, block)) * near >> size[1]) + rng.integers(-1, 2, (8, block))
    borders = np.array([3, 7, 15, 31, 127, 255, -7, -31]) << rng.integers(0, max(1, info.bits - 9), 8)
    x[3] = borders[:, None] >> np.minimum(rng.integers(0, 40, (8, block)), np.arange(block))
    x = zero_point + (-x if zero_point == info.max else x)
    x[2, 0], x[2, 1], x[2, 2] = zero_point, info.max, info.min
    return np.clip(x, info.min, info.max).astype(dtype).reshape(4, -1)


BLOCK_QUANTIZE = Op(
    name="BlockQuantize", body=_block_quantize.BODY, reference=reference, bounds=bounds, lower=_block_quantize.lower,
    samples=samples,
)  # fmt: skip
