"""Divide: one activation by another, with one rounding.

    n, d = (a - a_zero_point) * multiplier, (b - b_zero_point) * 2**shift
    y = clip(floor((2 * n + d) / (2 * d)) + output_zero_point, low, high)    for d > 0

so ties go up. A negative d changes the sign of both. Where d = 0 the result is ``low`` or ``high`` by the sign of n,
and the zero point where n = 0 too. The real factor is ``multiplier / 2**shift``.

A table of reciprocals is coarse where the divisor is small; a quotient is exact to half a step everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM, elementwise, spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

LARGEST_SHIFT = 44
"""A divisor of 17 bits times two to this, doubled, stays in 62 bits."""
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Divide <a_zero_point, b_zero_point, multiplier, shift, output_zero_point, low, high, to> (a, b) => (y) {
    zero = Constant <value_int: int = 0> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    za = Constant <value_int: int = @a_zero_point> ()
    zb = Constant <value_int: int = @b_zero_point> ()
    zy = Constant <value_int: int = @output_zero_point> ()
    factor = Constant <value_int: int = @multiplier> ()
    bits = Constant <value_int: int = @shift> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    wide_a = Cast <to: int = 7> (a)
    wide_b = Cast <to: int = 7> (b)
    centred_a = Sub (wide_a, za)
    centred_b = Sub (wide_b, zb)
    power = Pow (two, bits)
    numerator = Mul (centred_a, factor)
    divisor = Mul (centred_b, power)
    negative = Less (divisor, zero)
    turned_n = Neg (numerator)
    turned_d = Neg (divisor)
    n = Where (negative, turned_n, numerator)
    size = Where (negative, turned_d, divisor)
    nothing = Equal (size, zero)
    d = Where (nothing, one, size)
    double_n = Mul (n, two)
    double_d = Mul (d, two)
    biased = Add (double_n, d)
    rest = Mod (biased, double_d)
    exact = Sub (biased, rest)
    quotient = Div (exact, double_d)
    near = Add (quotient, zy)
    above = Greater (n, zero)
    below = Less (n, zero)
    low_or_zero = Where (below, least, zy)
    end = Where (above, most, low_or_zero)
    chosen = Where (nothing, end, near)
    floored = Max (chosen, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
}
"""


def reference(
    a: Array, b: Array, *, a_zero_point: int, b_zero_point: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """Divide ``a`` by ``b``.

    Args:
        a: int8, uint8 or int16; broadcasts with ``b``.
        b: int8, uint8 or int16.
        a_zero_point: Stored value of real zero in ``a``.
        b_zero_point: The same of ``b``.
        multiplier: In [0, 2**31).
        shift: In [0, 44].
        output_zero_point: Added to the quotient.
        low: Least value kept; at most the zero point.
        high: Greatest value kept; at least the zero point.
        to: ONNX type number of the result.
    """
    n = (a.astype(np.int64) - a_zero_point) * multiplier
    d = (b.astype(np.int64) - b_zero_point) << np.int64(shift)
    n, size = np.where(d < 0, -n, n), np.abs(d)
    near = (2 * n + size) // np.maximum(2 * size, 1) + output_zero_point
    end = np.where(n > 0, high, np.where(n < 0, low, output_zero_point))
    return np.clip(np.where(size == 0, end, near), low, high).astype(NUMPY[to])


def scalar(
    a: Any, b: Any, *, a_zero_point: int, b_zero_point: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """One element, as a TIR expression."""
    from tvm import tirx

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    n = (a.astype("int64") - whole(a_zero_point)) * whole(multiplier)
    d = (b.astype("int64") - whole(b_zero_point)) * whole(1 << shift)
    n = tirx.Select(d < whole(0), whole(0) - n, n)
    size = tirx.max(tirx.Select(d < whole(0), whole(0) - d, d), whole(1))
    near = tirx.floordiv(n * whole(2) + size, size * whole(2)) + whole(output_zero_point)
    below = tirx.Select(n < whole(0), whole(low), whole(output_zero_point))
    end = tirx.Select(n > whole(0), whole(high), below)
    chosen = tirx.Select(d.equal(whole(0)), end, near)
    return tirx.min(tirx.max(chosen, whole(low)), whole(high)).astype(TVM[to])


def bounds(
    a: Interval, b: Interval, *, a_zero_point: int, b_zero_point: int, multiplier: int, shift: int,
    output_zero_point: int, low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """Numerator and divisor, doubled and added, fit 62 bits; the zero point lies within the clip's bounds."""
    if not (0 <= multiplier < 1 << 31 and 0 <= shift <= LARGEST_SHIFT):
        raise OverflowError(f"the factor {multiplier} / 2**{shift} lies outside the domain of Divide")
    kind = np.iinfo(NUMPY[to])
    if not kind.min <= low <= output_zero_point <= high <= kind.max:
        raise OverflowError(f"clip range [{low}, {high}] does not fit {np.dtype(NUMPY[to])}")
    n = max(abs(a.low - a_zero_point), abs(a.high - a_zero_point)) * multiplier
    d = max(abs(b.low - b_zero_point), abs(b.high - b_zero_point)) << shift
    fits(Interval(low=-(2 * n + d), high=2 * n + d), 63, "the doubled numerator")
    fits(Interval(low=0, high=2 * d), 63, "the doubled divisor")
    return Bound(output=Interval(low=low, high=high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All pairs of types, both signs, divisors of zero, halves, and a divisor that is broadcast."""
    kinds = ((np.int16, np.int16, 5), (np.int16, np.int8, 3), (np.uint8, np.uint8, 2), (np.int8, np.int16, 5))
    for left, right, to in kinds:
        info, zero = np.iinfo(NUMPY[to]), 3 if to != 5 else 0
        common = {"low": int(info.min), "high": int(info.max), "to": to, "output_zero_point": zero}
        a, b = spread(rng, left, (5, 64)), spread(rng, right, (5, 64))
        for multiplier, shift in ((1 << 30, 30), (1 << 30, 24), (1518500250, 29), (1 << 30, 33)):
            factors = {"multiplier": multiplier, "shift": shift, "a_zero_point": 0, "b_zero_point": 0}
            yield Sample(inputs=(a, b), attributes={**common, **factors})
        narrow = {"multiplier": 1 << 30, "shift": 26, "a_zero_point": 1, "b_zero_point": -1}
        yield Sample(inputs=(a, b[:, :1]), attributes={**common, **narrow})


DIVIDE = Op(
    name="Divide", body=BODY, reference=reference, bounds=bounds, scalar=scalar, lower=elementwise(scalar),
    samples=samples,
)  # fmt: skip
