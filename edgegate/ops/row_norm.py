"""RowNorm: rows over the last axis, divided by the root of their mean square, or of their variance.

    d = x - zero_point,  n elements in a row
    m = n d - sum(d)                       if centre, else d
    W = max(n sum(d^2) - sum(d)^2 + epsilon, 1)    if centre, else max(sum(d^2) + epsilon, 1)
    y = clip(round(m / sqrt(W) * multiplier / 2**shift) + output_zero_point, low, high)

m and W are exact. The root's reciprocal has 24 bits at least, by three steps of Newton's method on W / 4**e in
[2**30, 2**32), and one rounding makes the result; ties go up. A row of zeros has no direction: its result is zero.

What a norm is beside that is a constant factor: layer norm and L2 norm 1, RMS norm sqrt(n).

Sources: layer norm: Ba et al., 2016, equation 4; RMS norm: Zhang, Sennrich, 2019, equation 4; reciprocal roots of
normalised integers: Warren, "Hacker's Delight", section 11-3, and Newton's r (3 - u r^2) / 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM, spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

LARGEST_SHIFT = 32
"""Behind it come up to 30 places of the root: 62 in all."""
ROOTS = 30
"""The largest e: W < 4**31."""
START, SLOPE = 2290047081, 1308598332
"""The first r = START - (u * SLOPE >> 32) is within 9 % of 2**46 / sqrt(u)."""
STEPS = 3
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
RowNorm <zero_point, centre, epsilon, multiplier, shift, output_zero_point, low, high, to> (x) => (y) {
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    four = Constant <value_int: int = 4> ()
    fifteen = Constant <value_int: int = 15> ()
    thirty_one = Constant <value_int: int = 31> ()
    zero = Constant <value_int: int = 0> ()
    last = Constant <value_ints: ints = [-1]> ()
    centred = Constant <value_int: int = @centre> ()
    zx = Constant <value_int: int = @zero_point> ()
    zy = Constant <value_int: int = @output_zero_point> ()
    more = Constant <value_int: int = @epsilon> ()
    factor = Constant <value_int: int = @multiplier> ()
    places = Constant <value_int: int = @shift> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    bits_30 = Constant <value_int: int = 1073741824> ()
    bits_31 = Constant <value_int: int = 2147483648> ()
    bits_32 = Constant <value_int: int = 4294967296> ()
    three = Constant <value_int: int = 3221225472> ()
    start = Constant <value_int: int = 2290047081> ()
    slope = Constant <value_int: int = 1308598332> ()
    wide = Cast <to: int = 7> (x)
    d = Sub (wide, zx)
    dims = Shape <start: int = -1> (x)
    n = Squeeze (dims, last)
    squares = Mul (d, d)
    square = ReduceSum <keepdims: int = 1> (squares, last)
    total = ReduceSum <keepdims: int = 1> (d, last)
    off = Mul (total, centred)
    rows = Sub (n, one)
    grown = Mul (rows, centred)
    times = Add (grown, one)
    scaled = Mul (d, times)
    m = Sub (scaled, off)
    wide_square = Mul (square, times)
    off_square = Mul (off, total)
    spread = Sub (wide_square, off_square)
    raised = Add (spread, more)
    w = Max (raised, one)
    first = Constant <value_int: int = 1> ()
    behind = Constant <value_int: int = 31> ()
    counts = Range (first, behind, one)
    edges = Pow (four, counts)
    column = Unsqueeze (w, last)
    passed = GreaterOrEqual (column, edges)
    passes = Cast <to: int = 7> (passed)
    e = ReduceSum <keepdims: int = 0> (passes, last)
    missing = Sub (fifteen, e)
    up = Max (missing, zero)
    spare = Sub (e, fifteen)
    down = Max (spare, zero)
    times_up = Pow (four, up)
    times_down = Pow (four, down)
    lifted = Mul (w, times_up)
    u = Div (lifted, times_down)
    sloped = Mul (u, slope)
    fallen = Div (sloped, bits_32)
    r0 = Sub (start, fallen)
NEWTON
    product = Mul (r3, factor)
    rounded = Add (product, bits_30)
    gain = Div (rounded, bits_31)
    shifts = Add (places, e)
    under = Sub (shifts, one)
    half = Pow (two, under)
    power = Mul (half, two)
    exact = Mul (m, gain)
    biased = Add (exact, half)
    rest = Mod (biased, power)
    whole = Sub (biased, rest)
    near = Div (whole, power)
    moved = Add (near, zy)
    floored = Max (moved, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
}
"""
NEWTON = """
    square{i} = Mul (r{i}, r{i})
    part{i} = Div (square{i}, bits_31)
    whole{i} = Mul (part{i}, u)
    near{i} = Div (whole{i}, bits_31)
    left{i} = Sub (three, near{i})
    raised{i} = Mul (r{i}, left{i})
    r{j} = Div (raised{i}, bits_31)"""
BODY = BODY.replace("NEWTON", "".join(NEWTON.format(i=i, j=i + 1) for i in range(STEPS)))


def reference(
    x: Array, *, zero_point: int, centre: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """Normalise the rows of ``x``.

    Args:
        x: int8, uint8 or int16, [..., n].
        zero_point: Stored value of real zero in ``x``.
        centre: 1: the row's mean is taken off first.
        epsilon: Added to W: in units of a squared step, times n**2 if ``centre``.
        multiplier: In [2**30, 2**31).
        shift: In [1, 32].
        output_zero_point: Added to the result.
        low: Least value kept.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    d = x.astype(np.int64) - zero_point
    n = x.shape[-1] if centre else 1
    total = d.sum(-1, keepdims=True) * centre
    w = np.maximum(n * (d * d).sum(-1, keepdims=True) - total * total + epsilon, 1)
    e = (w[..., None] >= 4 ** np.arange(1, ROOTS + 1)).sum(-1)
    u = np.where(e < 15, w << np.maximum(30 - 2 * e, 0), w >> np.maximum(2 * e - 30, 0))
    r = START - (u * SLOPE >> 32)
    for _ in range(STEPS):
        r = r * ((3 << 30) - ((r * r >> 31) * u >> 31)) >> 31
    gain = (r * multiplier + (1 << 30)) >> 31
    shifts = shift + e
    near = ((n * d - total) * gain + (np.int64(1) << (shifts - 1))) >> shifts
    return np.clip(near + output_zero_point, low, high).astype(NUMPY[to])


def lower(
    x: Any, *, zero_point: int, centre: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """Two sums a row, the root of each row, and one product an element."""
    from tvm import te, tirx

    *lead, size = (int(d) for d in x.shape)
    n = size if centre else 1

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    def shifted(at: Any) -> Any:
        return x(*at).astype("int64") - whole(zero_point)

    k, j = te.reduce_axis((0, size), "k"), te.reduce_axis((0, size), "j")
    square = te.compute(lead, lambda *i: te.sum(shifted((*i, k)) * shifted((*i, k)), axis=k), name="square")
    total = te.compute(lead, lambda *i: te.sum(shifted((*i, j)), axis=j), name="total")

    def variance(*i: Any) -> Any:
        off = total(*i) * total(*i) if centre else whole(0)
        return tirx.max(square(*i) * whole(n) - off + whole(epsilon), whole(1))

    w = te.compute(lead, variance, name="variance")
    e = te.compute(lead, lambda *i: _places(w(*i), whole), name="places")
    u = te.compute(lead, lambda *i: _normalised(w(*i), e(*i), whole), name="normalised")
    r = te.compute(lead, lambda *i: whole(START) - ((u(*i) * whole(SLOPE)) >> whole(32)), name="start")
    for _ in range(STEPS):
        r = _newton(r, u, whole)
    gain = te.compute(lead, lambda *i: (r(*i) * whole(multiplier) + whole(1 << 30)) >> whole(31), name="gain")

    def element(*i: Any) -> Any:
        row, off = i[:-1], total(*i[:-1]) if centre else whole(0)
        shifts = e(*row) + whole(shift)
        near = (shifted(i) * whole(n) - off) * gain(*row) + (whole(1) << (shifts - whole(1)))
        moved = (near >> shifts) + whole(output_zero_point)
        return tirx.min(tirx.max(moved, whole(low)), whole(high)).astype(TVM[to])

    return te.compute(x.shape, element, name="row_norm")


def _places(w: Any, whole: Any) -> Any:
    """How many powers of 4, of 4**1 to 4**30, are at most ``w``."""
    found = whole(0)
    for i in range(1, ROOTS + 1):
        found = found + (w >= whole(4**i)).astype("int64")
    return found


def _normalised(w: Any, e: Any, whole: Any) -> Any:
    """``w`` times a power of 4, in [2**30, 2**32)."""
    from tvm import tirx

    up, down = tirx.max(whole(30) - e * whole(2), whole(0)), tirx.max(e * whole(2) - whole(30), whole(0))
    return (w << up) >> down


def _newton(r: Any, u: Any, whole: Any) -> Any:
    """One step of every row from ``r`` towards 2**46 / sqrt(u)."""
    from tvm import te

    def step(*i: Any) -> Any:
        near = (((r(*i) * r(*i)) >> whole(31)) * u(*i)) >> whole(31)
        return (r(*i) * (whole(3 << 30) - near)) >> whole(31)

    return te.compute(r.shape, step, name="root")


def bounds(
    x: Interval, *, zero_point: int, centre: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """W fits 62 bits and an element with its gain 63; the factor lies in the domain, the clip in the type."""
    if not (1 << 30 <= multiplier < 1 << 31 and 1 <= shift <= LARGEST_SHIFT):
        raise OverflowError(f"the factor {multiplier} / 2**{shift} lies outside the domain of RowNorm")
    kind = np.iinfo(NUMPY[to])
    if not kind.min <= low <= high <= kind.max:
        raise OverflowError(f"clip range [{low}, {high}] does not fit {np.dtype(NUMPY[to])}")
    if not x.dims or centre not in (0, 1) or epsilon < 0:
        raise OverflowError("RowNorm needs rows of a known length, centre 0 or 1, and an epsilon of at least 0")
    size, reach = x.dims[-1], max(abs(x.low - zero_point), abs(x.high - zero_point))
    square = size * reach**2 * (size if centre else 1) + epsilon
    fits(Interval(low=0, high=square), 2 * ROOTS + 3, "the sum of squares")
    longest = reach * (2 * size if centre else 1)
    fits(Interval(low=-longest, high=longest), 32, "a centred element")
    return Bound(output=Interval(low=low, high=high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All types; rows of zeros, of one value, of extremes, of one spike; long and short; tiny and large factors."""
    for kind, to in ((np.int8, 3), (np.uint8, 2), (np.int16, 5), (np.int16, 3), (np.int8, 5)):
        info, limits = np.iinfo(kind), np.iinfo(NUMPY[to])
        for size in (1, 7, 64):
            x = spread(rng, kind, (6, size))
            x[0], x[1], x[2] = 0, info.max, np.where(np.arange(size) % 2, info.min, info.max)
            x[3] = 0
            x[3, -1] = 1
            zero = int(rng.integers(-3, 4)) if kind == np.int8 else 0
            out = {"low": int(limits.min), "high": int(limits.max), "to": to, "output_zero_point": 5 if to != 5 else 0}
            large = 19 if to == 5 else 27
            for centre, epsilon, multiplier, shift in (
                (0, 0, 1 << 30, 24),
                (1, 9, 1518500250, large),
                (0, 3, 1 << 30, 32),
            ):
                factor = {"multiplier": multiplier, "shift": shift, "epsilon": epsilon}
                yield Sample(inputs=(x,), attributes={"zero_point": zero, "centre": centre, **factor, **out})


ROW_NORM = Op(name="RowNorm", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
