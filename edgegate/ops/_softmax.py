"""What softmax and masked softmax share: exponentials by two tables, and a division by one reciprocal a row.

    d = max over the kept of x - x >= 0
    e = coarse[d >> 8] * fine[d & 255] + 2**29 >> 30
    y = clip(e * (2**61 // sum(e)) + 2**(60 - bits) >> 61 - bits, low, high)

The tables hold exp(-256 i s) and exp(-i s) times 2**30, s being the scale of x: e has 29 bits of the exponential
whatever the type of x. The greatest of a row gives 2**30, so the reciprocal has at most 31 bits, and a result is off
by 2**-31 at most before its one rounding; ties go up.

Source: softmax with the maximum taken off: Goodfellow, Bengio, Courville, "Deep Learning", 2016, equation 4.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM
from edgegate.ops._op import Bound, Interval, fits

ENTRIES, ONE = 256, 30
"""Size of each table, and the fractional bits of its entries."""
LARGEST_BITS = 30
RECIPROCAL = 61
LEAST = -(1 << 15)
"""Stands for what is not kept, where the greatest is looked for."""
HEAD = """
    wide = Cast <to: int = 7> (x)
    last = Constant <value_ints: ints = [-1]> ()
    zero = Constant <value_int: int = 0> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    page = Constant <value_int: int = 256> ()
    half_unit = Constant <value_int: int = 536870912> ()
    unit = Constant <value_int: int = 1073741824> ()
    coarse_64 = Cast <to: int = 7> (coarse)
    fine_64 = Cast <to: int = 7> (fine)
    top = ReduceMax <keepdims: int = 1> ({seen}, last)
    below = Sub (top, wide)
    d = Max (below, zero)
    pages = Div (d, page)
    places = Mod (d, page)
    first = Gather (coarse_64, pages)
    second = Gather (fine_64, places)
    product = Mul (first, second)
    rounded = Add (product, half_unit)
    exponential = Div (rounded, unit)
    {kept}
    sum = ReduceSum <keepdims: int = 1> (e, last)
"""
"""Up to the exponentials ``e`` of the kept and their ``sum``; what is ``seen`` and how it is ``kept`` are left out."""
BODY = f"""{HEAD}
    most_of_all = Constant <value_int: int = 2305843009213693952> ()
    all_bits = Constant <value_int: int = 61> ()
    fraction = Constant <value_int: int = @bits> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    divisor = Max (sum, one)
    reciprocal = Div (most_of_all, divisor)
    share = Mul (e, reciprocal)
    shift = Sub (all_bits, fraction)
    under = Sub (shift, one)
    half = Pow (two, under)
    power = Mul (half, two)
    biased = Add (share, half)
    near = Div (biased, power)
    floored = Max (near, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
"""


def softmax(x: Array, keep: Array | None, coarse: Array, fine: Array, bits: int, low: int, high: int, to: int) -> Array:
    """The definition, for rows along the last axis; ``keep`` of the shape of ``x``, or None for all."""
    wide = x.astype(np.int64)
    seen = wide if keep is None else np.where(keep, wide, LEAST)
    d = np.maximum(seen.max(-1, keepdims=True) - wide, 0)
    e = (coarse.astype(np.int64)[d >> 8] * fine.astype(np.int64)[d & 255] + (1 << ONE - 1)) >> ONE
    e = e if keep is None else np.where(keep, e, 0)
    reciprocal = (1 << RECIPROCAL) // np.maximum(e.sum(-1, keepdims=True), 1)
    y = (e * reciprocal + (1 << RECIPROCAL - bits - 1)) >> (RECIPROCAL - bits)
    return np.clip(y, low, high).astype(NUMPY[to])


def exponentials(x: Any, keep: Any, coarse: Any, fine: Any) -> tuple[Any, Any, Any]:
    """TE: the maximum of each row of what is kept, the exponentials below it, and their sum in each row."""
    from tvm import te, tirx

    *lead, size = (int(d) for d in x.shape)

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    def seen(*i: Any) -> Any:
        value = x(*i).astype("int64")
        return value if keep is None else tirx.Select(keep(*i), value, whole(LEAST))

    k, j = te.reduce_axis((0, size), "k"), te.reduce_axis((0, size), "j")
    top = te.compute(lead, lambda *i: te.max(seen(*i, k), axis=k), name="top")

    def exponential(*i: Any) -> Any:
        d = tirx.max(top(*i[:-1]) - x(*i).astype("int64"), whole(0))
        first, second = coarse(d >> whole(8)).astype("int64"), fine(d & whole(255)).astype("int64")
        e = (first * second + whole(1 << ONE - 1)) >> whole(ONE)
        return e if keep is None else tirx.Select(keep(*i), e, whole(0))

    e = te.compute(x.shape, exponential, name="exponential")
    return top, e, te.compute(lead, lambda *i: te.sum(e(*i, j), axis=j), name="total")


def lowered(x: Any, keep: Any, coarse: Any, fine: Any, bits: int, low: int, high: int, to: int) -> Any:
    """TE: the row's maximum, its exponentials, their sum, and one product an element."""
    from tvm import te, tirx

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    _, e, total = exponentials(x, keep, coarse, fine)
    reciprocal = te.compute(
        total.shape, lambda *i: tirx.floordiv(whole(1 << RECIPROCAL), tirx.max(total(*i), whole(1))), name="reciprocal"
    )

    def share(*i: Any) -> Any:
        y = (e(*i) * reciprocal(*i[:-1]) + whole(1 << RECIPROCAL - bits - 1)) >> whole(RECIPROCAL - bits)
        return tirx.min(tirx.max(y, whole(low)), whole(high)).astype(TVM[to])

    return te.compute(x.shape, share, name="softmax")


def bound(x: Interval, coarse: Interval, fine: Interval, bits: int, low: int, high: int, to: int) -> Bound:
    """As :func:`largest_sum`; the clip range lies in the type."""
    largest_sum(x, coarse, fine)
    kind = np.iinfo(NUMPY[to])
    if not (0 <= bits <= LARGEST_BITS and kind.min <= low <= 0 <= high <= kind.max):
        raise OverflowError(f"{bits} fractional bits in [{low}, {high}] of {np.dtype(NUMPY[to])} are no softmax")
    return Bound(output=Interval(low=0, high=min(high, 1 << bits)))


def largest_sum(x: Interval, coarse: Interval, fine: Interval) -> int:
    """The tables fall from 2**30 and are as long as any difference asks for; a row's sum fits 62 bits."""
    for table in (coarse, fine):
        data = table.data
        if (
            data is None
            or data.shape != (ENTRIES,)
            or data[0] != 1 << ONE
            or (np.diff(data.astype(np.int64)) > 0).any()
        ):
            raise OverflowError("a softmax needs two constant tables of 256 entries that fall from 2**30")
    if coarse.low < 0 or fine.low < 0 or x.high - x.low >= ENTRIES * ENTRIES:
        raise OverflowError("a softmax is of integers of 16 bits at most, and an exponential is not negative")
    most = (x.dims[-1] if x.dims else 1) << ONE
    fits(Interval(low=0, high=most), RECIPROCAL + 1, "the sum of a row")
    return most


def tables(scale: Any) -> tuple[Array, Array]:
    """``coarse`` and ``fine``, int32 [256] each, for integers of this scale (a Fraction, or a float)."""
    steps = np.arange(ENTRIES) * float(scale)
    coarse, fine = (np.rint(np.exp(-steps * ratio) * (1 << ONE)).astype(np.int32) for ratio in (ENTRIES, 1))
    return coarse, fine
