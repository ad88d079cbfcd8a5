"""Rescale: bring an integer to another scale with integers alone.

    y = clip(((x - input_zero_point) * multiplier + 2**(shift - 1) >> shift) + output_zero_point, low, high)

in 64 bits with an arithmetic shift, so ties go up. The real factor is ``multiplier / 2**shift``.

Source: TOSA 1.0.1, RESCALE with SINGLE_ROUND, and apply_scale_32 / apply_scale_16.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM, elementwise, spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Rescale <input_zero_point, output_zero_point, low, high, to> (x, multiplier, shift) => (y) {
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    zero_in = Constant <value_int: int = @input_zero_point> ()
    zero_out = Constant <value_int: int = @output_zero_point> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    wide = Cast <to: int = 7> (x)
    centred = Sub (wide, zero_in)
    factor = Cast <to: int = 7> (multiplier)
    product = Mul (centred, factor)
    bits = Cast <to: int = 7> (shift)
    divisor = Pow (two, bits)
    half = Div (divisor, two)
    biased = Add (product, half)
    rest = Mod (biased, divisor)
    exact = Sub (biased, rest)
    scaled = Div (exact, divisor)
    moved = Add (scaled, zero_out)
    floored = Max (moved, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
}
"""


def scale(centred: Array, multiplier: Array, shift: Array) -> Array:
    """``(centred * multiplier + 2**(shift - 1)) >> shift`` in int64: half up.

    Args:
        centred: int64, within 2**32 of zero (2**47 for 16-bit multipliers).
        multiplier: 0 or in [2**30, 2**31) ([2**14, 2**15) for 48-bit accumulators); or, for the narrow
            products of ``Add``, any value that keeps the product in 62 bits.
        shift: In [2, 62]; broadcasts with ``multiplier``.
    """
    bits = shift.astype(np.int64)
    return (centred * multiplier.astype(np.int64) + (np.int64(1) << (bits - 1))) >> bits


def reference(
    x: Array, multiplier: Array, shift: Array, *, input_zero_point: int, output_zero_point: int, low: int,
    high: int, to: int,
) -> Array:  # fmt: skip
    """Rescale ``x``.

    Args:
        x: int8, uint8, int16, int32, or an int64 accumulator below 2**47.
        multiplier: int32, broadcastable to ``x`` along its last axes; 0 makes the output the zero point.
        shift: int32 in [2, 62], same shape as ``multiplier``.
        input_zero_point: Subtracted first; for a sum over n values, n times theirs.
        output_zero_point: Added after scaling.
        low: Least value kept; the zero point when a ReLU is folded in.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    scaled = scale(x.astype(np.int64) - input_zero_point, multiplier, shift)
    return np.clip(scaled + output_zero_point, low, high).astype(NUMPY[to])


def scalar(
    x: Any, multiplier: Any, shift: Any, *, input_zero_point: int, output_zero_point: int, low: int, high: int,
    to: int,
) -> Any:  # fmt: skip
    """One element, as a TIR expression."""
    centred = x.astype("int64") - _int64(input_zero_point)
    return finish(centred * multiplier.astype("int64"), shift, output_zero_point, low, high, to)


def finish(product: Any, shift: Any, output_zero_point: int, low: int, high: int, to: int) -> Any:
    """Round the int64 ``product`` by ``shift`` bits, add the zero point, clip and narrow.

    The shifted product of a rescale in its domain fits int32, so the clip runs in int32.
    """
    from tvm import tirx

    bits = shift.astype("int64")
    scaled = ((product + (_int64(1) << (bits - _int64(1)))) >> bits).astype("int32")
    moved = scaled + tirx.const(output_zero_point, "int32")
    clipped = tirx.min(tirx.max(moved, tirx.const(low, "int32")), tirx.const(high, "int32"))
    return clipped.astype(TVM[to])


def _int64(value: int) -> Any:
    from tvm import tirx

    return tirx.const(value, "int64")


def bounds(
    x: Interval, multiplier: Interval, shift: Interval, *, input_zero_point: int, output_zero_point: int, low: int,
    high: int, to: int,
) -> Bound:  # fmt: skip
    """TOSA's domain: the shift in [2, 62], and ``-2**(shift-1) <= x < 2**(shift-1)``.

    With a 16-bit multiplier instead: x fits 48 bits, and what the clip sees fits 32 (apply_scale_16).
    """
    centred = x.shifted(-input_zero_point)
    if multiplier.data is None or shift.data is None:
        raise OverflowError("multiplier and shift must be constants")
    check_domain(centred, multiplier.data, shift.data)
    kind = np.iinfo(NUMPY[to])
    if low > high or low < kind.min or high > kind.max:
        raise OverflowError(f"clip range [{low}, {high}] does not fit {np.dtype(NUMPY[to])}")
    ends = np.array([[centred.low], [centred.high]], np.int64)
    m, s = multiplier.data.reshape(1, -1), shift.data.reshape(1, -1)
    moved = scale(ends, m, s) + output_zero_point
    fits(Interval(low=int(moved.min()), high=int(moved.max())), INT32, "the rescaled value")
    scaled = np.clip(moved, low, high)
    return Bound(output=Interval(low=int(scaled.min()), high=int(scaled.max())))


def check_domain(centred: Interval, multiplier: Array, shift: Array) -> None:
    """OverflowError unless every multiplier, shift and value lies in TOSA's domain."""
    live = multiplier != 0
    wide = bool(live.any()) and int(multiplier.max()) < 1 << 15  # the 16-bit form of 48-bit accumulators
    least, bits = (1 << 14, 15) if wide else (1 << 30, 31)
    if wide:
        fits(centred, INT48, "the rescaled accumulator")
    if np.any(multiplier[live] < least) or np.any(multiplier[live].astype(np.int64) >= 1 << bits):
        raise OverflowError(f"a multiplier lies outside [{least}, {1 << bits})")
    if np.any(shift < 2) or np.any(shift > 62):
        raise OverflowError(f"a shift lies outside [2, 62]: {int(shift.min())}..{int(shift.max())}")
    tightest = int(shift[live].min()) if live.any() and not wide else 62
    fits(centred, tightest, f"the value rescaled with shift {tightest}")


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All input and output types, one scale and one per channel, ties, a dead channel."""
    kinds = [(np.int32, 3, 34), (np.int32, 2, 40), (np.int32, 5, 33), (np.int8, 3, 31), (np.uint8, 2, 32)]
    for dtype, to, shift in kinds:
        x = spread(rng, dtype, (7, 24))
        info = np.iinfo(NUMPY[to])
        common = {
            "output_zero_point": -3 if info.min else 7,
            "low": int(info.min),
            "high": int(info.max),
            "to": to,
        }
        tie = np.array([1 << 30], np.int32)
        yield Sample(inputs=(x, tie, np.array([shift], np.int32)), attributes={"input_zero_point": 0, **common})
        multiplier = rng.integers(1 << 30, 1 << 31, 24).astype(np.int32)
        multiplier[5] = 0
        shifts = rng.integers(33, 62, 24).astype(np.int32)
        yield Sample(inputs=(x, multiplier, shifts), attributes={"input_zero_point": 5, **common})
    wide = spread(rng, np.int64, (7, 24)) >> 17
    attributes = {"input_zero_point": 0, "output_zero_point": 0, "low": -32768, "high": 32767, "to": 5}
    m16 = rng.integers(1 << 14, 1 << 15, 24).astype(np.int32)
    yield Sample(inputs=(wide, m16, rng.integers(48, 62, 24).astype(np.int32)), attributes=attributes)
    clipped = {"input_zero_point": -128, "output_zero_point": 11, "low": 11, "high": 99, "to": 3}
    yield Sample(inputs=(spread(rng, np.int8, (3, 2, 5)), np.array([1 << 30]), np.array([30])), attributes=clipped)


RESCALE = Op(
    name="Rescale", body=BODY, reference=reference, bounds=bounds, scalar=scalar, lower=elementwise(scalar),
    samples=samples,
)  # fmt: skip
