"""Add: two stored tensors of different scales, summed with one rounding.

    y = clip(((a - a_zero_point) * a_multiplier + (b - b_zero_point) * b_multiplier + 2**(shift - 1) >> shift)
             + output_zero_point, low, high)

Both multipliers share the shift, so that the sum is rounded once. With 8-bit inputs the multipliers are at
most 2**20 in magnitude and the sum fits int32; 16-bit inputs are summed in int64. A negative multiplier
makes it a subtraction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM, elementwise, spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Add <a_zero_point, b_zero_point, a_multiplier, b_multiplier, shift, output_zero_point, low, high, to> (a, b) => (y) {
    a_zero = Constant <value_int: int = @a_zero_point> ()
    b_zero = Constant <value_int: int = @b_zero_point> ()
    a_factor = Constant <value_int: int = @a_multiplier> ()
    b_factor = Constant <value_int: int = @b_multiplier> ()
    bits = Constant <value_int: int = @shift> ()
    zero_out = Constant <value_int: int = @output_zero_point> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    two = Constant <value_int: int = 2> ()
    wide_a = Cast <to: int = 7> (a)
    wide_b = Cast <to: int = 7> (b)
    centred_a = Sub (wide_a, a_zero)
    centred_b = Sub (wide_b, b_zero)
    scaled_a = Mul (centred_a, a_factor)
    scaled_b = Mul (centred_b, b_factor)
    sum = Add (scaled_a, scaled_b)
    divisor = Pow (two, bits)
    half = Div (divisor, two)
    biased = Add (sum, half)
    rest = Mod (biased, divisor)
    exact = Sub (biased, rest)
    whole = Div (exact, divisor)
    moved = Add (whole, zero_out)
    floored = Max (moved, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
}
"""


def reference(
    a: Array, b: Array, *, a_zero_point: int, b_zero_point: int, a_multiplier: int, b_multiplier: int, shift: int,
    output_zero_point: int, low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """Add ``a`` and ``b``, which broadcast.

    Args:
        a: int8, uint8, int16, or int32 (a state of 24 bits).
        b: As ``a``.
        a_zero_point: Stored value of real zero in ``a``.
        b_zero_point: The same of ``b``.
        a_multiplier: Scale of ``a`` over that of ``y``, times 2**shift.
        b_multiplier: The same of ``b``.
        shift: In [1, 46].
        output_zero_point: Added after scaling.
        low: Least value kept.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    sum_ = (a.astype(np.int64) - a_zero_point) * a_multiplier + (b.astype(np.int64) - b_zero_point) * b_multiplier
    scaled = (sum_ + (1 << (shift - 1))) >> shift
    return np.clip(scaled + output_zero_point, low, high).astype(NUMPY[to])


def scalar(
    a: Any, b: Any, *, a_zero_point: int, b_zero_point: int, a_multiplier: int, b_multiplier: int, shift: int,
    output_zero_point: int, low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """One element, as a TIR expression; int32 for 8-bit inputs, int64 where an input is wider."""
    from tvm import tirx

    narrow = {str(a.ty), str(b.ty)} <= {"int8", "uint8"} and shift <= 31
    wide = "int32" if narrow else "int64"

    def const(value: int) -> Any:
        return tirx.const(value, wide)

    left = (a.astype(wide) - const(a_zero_point)) * const(a_multiplier)
    right = (b.astype(wide) - const(b_zero_point)) * const(b_multiplier)
    scaled = (left + right + const(1 << (shift - 1))) >> const(shift)
    moved = scaled + const(output_zero_point)
    return tirx.min(tirx.max(moved, const(low)), const(high)).astype(TVM[to])


def bounds(
    a: Interval, b: Interval, *, a_zero_point: int, b_zero_point: int, a_multiplier: int, b_multiplier: int,
    shift: int, output_zero_point: int, low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """The sum fits int32 with 8-bit inputs, and 62 bits otherwise."""
    left = sorted(x * a_multiplier for x in (a.low - a_zero_point, a.high - a_zero_point))
    right = sorted(x * b_multiplier for x in (b.low - b_zero_point, b.high - b_zero_point))
    half = 1 << (shift - 1)
    sum_ = Interval(low=min(0, left[0]) + min(0, right[0]), high=max(0, left[1]) + max(0, right[1]) + half)
    narrow = shift <= 31 and all(x.dtype is not None and x.dtype.itemsize == 1 for x in (a, b))
    fits(sum_, INT32 if narrow else 63, "the sum")
    ends = [(x + half >> shift) + output_zero_point for x in (left[0] + right[0], left[1] + right[1])]
    least, most = (min(max(x, low), high) for x in ends)
    return Bound(output=Interval(low=least, high=most), accumulator=sum_, bits=INT32 if narrow else 64)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Ties, broadcasting, subtraction, 16 bits."""
    base = {"output_zero_point": -2, "low": -128, "high": 127, "to": 3}
    for ma, mb, shift in ((1 << 19, 1 << 19, 20), (1 << 20, 699051, 21), (1 << 20, -(1 << 18), 20), (0, 1 << 20, 24)):
        settings = {"a_multiplier": ma, "b_multiplier": mb, "shift": shift, "a_zero_point": -128, "b_zero_point": 127}
        inputs = (spread(rng, np.int8, (2, 5, 16)), spread(rng, np.int8, (2, 5, 16)))
        yield Sample(inputs=inputs, attributes={**base, **settings})
        yield Sample(inputs=(inputs[0], inputs[1][:, :1]), attributes={**base, **settings})
    wide = {"a_multiplier": 1 << 29, "b_multiplier": 876543210, "shift": 30, "a_zero_point": 0, "b_zero_point": 0}
    inputs = (spread(rng, np.int16, (3, 7)), spread(rng, np.int16, (3, 7)))
    limits = {"output_zero_point": 0, "low": -32768, "high": 32767, "to": 5}
    yield Sample(inputs=inputs, attributes={**wide, **limits})
    state = {"output_zero_point": 0, "low": -(1 << 23), "high": (1 << 23) - 1, "to": 6}
    yield Sample(inputs=(spread(rng, np.int32, (3, 7)) >> 8, inputs[1]), attributes={**wide, **state})


ADD = Op(
    name="Add", body=BODY, reference=reference, bounds=bounds, scalar=scalar, lower=elementwise(scalar),
    samples=samples,
)  # fmt: skip
