"""RowNorm: rows over the last axis, divided by the root of their mean square, or of their variance.

    d = x - zero_point,  n elements in a row, sum(d) = q n + r with 0 <= r < n
    m = K d - (K q + round(K r / n))                              K = parts, or d itself without a centre
    W = max(K (sum(d^2) - q (sum(d) + r)) - floor(K r^2 / n) + epsilon, 1)    or max(sum(d^2) + epsilon, 1)
    y = clip(round(m / sqrt(W) * multiplier / 2**shift) + output_zero_point, low, high)

The mean is taken off in parts of a step. With K = n both are exact: m = n d - sum(d), W = n sum(d^2) - sum(d)^2; rows
too long for that in 64 bits have fewer parts. The root's reciprocal has 24 bits at least, by three steps of Newton's
method on W / 4**e in [2**30, 2**32), and one rounding makes the result; ties go up. A row of zeros has no direction:
its result is zero.

What a norm is beside that is a constant factor: layer norm sqrt(n / K), L2 norm 1, RMS norm sqrt(n).

Sources: layer norm: Ba et al., 2016, equation 4; RMS norm: Zhang, Sennrich, 2019, equation 4; reciprocal roots:
Warren, "Hacker's Delight", section 11-3, and Newton's r (3 - u r^2) / 2.
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
RowNorm <zero_point, parts, epsilon, multiplier, shift, output_zero_point, low, high, to> (x) => (y) {
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    four = Constant <value_int: int = 4> ()
    fifteen = Constant <value_int: int = 15> ()
    thirty_one = Constant <value_int: int = 31> ()
    zero = Constant <value_int: int = 0> ()
    last = Constant <value_ints: ints = [-1]> ()
    given_parts = Constant <value_int: int = @parts> ()
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
    sum = ReduceSum <keepdims: int = 1> (d, last)
    k = Max (given_parts, one)
    centred = Min (given_parts, one)
    total = Mul (sum, centred)
    r = Mod (total, n)
    multiple = Sub (total, r)
    q = Div (multiple, n)
    k_r = Mul (k, r)
    twice_k_r = Mul (k_r, two)
    biased_part = Add (twice_k_r, n)
    twice_n = Mul (n, two)
    part = Div (biased_part, twice_n)
    k_q = Mul (k, q)
    off = Add (k_q, part)
    scaled = Mul (d, k)
    m = Sub (scaled, off)
    sum_and_r = Add (total, r)
    off_square = Mul (q, sum_and_r)
    left = Sub (square, off_square)
    wide_square = Mul (left, k)
    r_square = Mul (r, k_r)
    off_rest = Div (r_square, n)
    spread = Sub (wide_square, off_rest)
    raised = Add (spread, more)
    w = Max (raised, one)
    behind = Constant <value_int: int = 31> ()
    counts = Range (one, behind, one)
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
    x: Array, *, zero_point: int, parts: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """Normalise the rows of ``x``.

    Args:
        x: int8, uint8 or int16, [..., n].
        zero_point: Stored value of real zero in ``x``.
        parts: Of a step, in which the row's mean is taken off; at most n. 0: it is not taken off.
        epsilon: Added to W: in units of a squared step, times n and ``parts`` for a variance.
        multiplier: In [2**30, 2**31).
        shift: In [1, 32].
        output_zero_point: Added to the result.
        low: Least value kept.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    d = x.astype(np.int64) - zero_point
    n, k = x.shape[-1], max(parts, 1)
    total = d.sum(-1, keepdims=True) * min(parts, 1)
    q, rest = total // n, total % n
    m = k * d - (k * q + (2 * k * rest + n) // (2 * n))
    w = np.maximum(k * ((d * d).sum(-1, keepdims=True) - q * (total + rest)) - k * rest * rest // n + epsilon, 1)
    e = (w[..., None] >= 4 ** np.arange(1, ROOTS + 1)).sum(-1)
    u = np.where(e < 15, w << np.maximum(30 - 2 * e, 0), w >> np.maximum(2 * e - 30, 0))
    r = START - (u * SLOPE >> 32)
    for _ in range(STEPS):
        r = r * ((3 << 30) - ((r * r >> 31) * u >> 31)) >> 31
    gain = (r * multiplier + (1 << 30)) >> 31
    shifts = shift + e
    near = (m * gain + (np.int64(1) << (shifts - 1))) >> shifts
    return np.clip(near + output_zero_point, low, high).astype(NUMPY[to])


def lower(
    x: Any, *, zero_point: int, parts: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """Two sums a row, the root of each row, and one product an element."""
    from tvm import te, tirx

    *lead, size = (int(d) for d in x.shape)

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    def shifted(at: Any) -> Any:
        return x(*at).astype("int64") - whole(zero_point)

    k, j = te.reduce_axis((0, size), "k"), te.reduce_axis((0, size), "j")
    square = te.compute(lead, lambda *i: te.sum(shifted((*i, k)) * shifted((*i, k)), axis=k), name="square")
    total = te.compute(lead, lambda *i: te.sum(shifted((*i, j)), axis=j), name="total")
    spread, off = _centred(square, total, size, parts) if parts else (square, None)
    w = te.compute(lead, lambda *i: tirx.max(spread(*i) + whole(epsilon), whole(1)), name="variance")
    e = te.compute(lead, lambda *i: _places(w(*i), whole), name="places")
    u = te.compute(lead, lambda *i: _normalised(w(*i), e(*i), whole), name="normalised")
    r = te.compute(lead, lambda *i: whole(START) - ((u(*i) * whole(SLOPE)) >> whole(32)), name="start")
    for _ in range(STEPS):
        r = _newton(r, u, whole)
    gain = te.compute(lead, lambda *i: (r(*i) * whole(multiplier) + whole(1 << 30)) >> whole(31), name="gain")

    def element(*i: Any) -> Any:
        row = i[:-1]
        m = shifted(i) if off is None else shifted(i) * whole(parts) - off(*row)
        shifts = e(*row) + whole(shift)
        near = m * gain(*row) + (whole(1) << (shifts - whole(1)))
        moved = (near >> shifts) + whole(output_zero_point)
        return tirx.min(tirx.max(moved, whole(low)), whole(high)).astype(TVM[to])

    return te.compute(x.shape, element, name="row_norm")


def _centred(square: Any, total: Any, n: int, parts: int) -> tuple[Any, Any]:
    """Of each row: ``parts`` times its sum of squares around the mean, and times its mean."""
    from tvm import te, tirx

    size, k, two = (tirx.const(value, "int64") for value in (n, parts, 2))
    q = te.compute(total.shape, lambda *i: tirx.floordiv(total(*i), size), name="mean")
    r = te.compute(total.shape, lambda *i: total(*i) - q(*i) * size, name="rest")

    def spread(*i: Any) -> Any:
        return (square(*i) - q(*i) * (total(*i) + r(*i))) * k - tirx.floordiv(r(*i) * r(*i) * k, size)

    def off(*i: Any) -> Any:
        return q(*i) * k + tirx.floordiv(r(*i) * k * two + size, size * two)

    return te.compute(total.shape, spread, name="spread"), te.compute(total.shape, off, name="off")


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

    return te.compute(r.shape, step, name="reciprocal")


def bounds(
    x: Interval, *, zero_point: int, parts: int, epsilon: int, multiplier: int, shift: int, output_zero_point: int,
    low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """W fits 62 bits and an element with its gain 63; the factor lies in the domain, the clip in the type."""
    if not (1 << 30 <= multiplier < 1 << 31 and 1 <= shift <= LARGEST_SHIFT):
        raise OverflowError(f"the factor {multiplier} / 2**{shift} lies outside the domain of RowNorm")
    kind = np.iinfo(NUMPY[to])
    if not kind.min <= low <= high <= kind.max:
        raise OverflowError(f"clip range [{low}, {high}] does not fit {np.dtype(NUMPY[to])}")
    if not x.dims or not 0 <= parts <= x.dims[-1] or epsilon < 0:
        raise OverflowError("RowNorm needs rows of a known length n, parts in [0, n], and an epsilon of at least 0")
    n, k, reach = x.dims[-1], max(parts, 1), max(abs(x.low - zero_point), abs(x.high - zero_point))
    rest = n if parts else 0
    fits(Interval(low=0, high=k * (n * reach**2 + rest) + epsilon), 2 * ROOTS + 3, "the sum of squares")
    fits(Interval(low=0, high=2 * k * rest * max(rest, 1) + rest), 2 * ROOTS + 3, "the mean")
    longest = reach * (2 * k if parts else 1)
    fits(Interval(low=-longest, high=longest), 32, "a centred element")
    return Bound(output=Interval(low=low, high=high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All types; rows of zeros, of one value, of extremes, of one spike; long and short; tiny and large factors."""
    for kind, to in ((np.int8, 3), (np.uint8, 2), (np.int16, 5), (np.int16, 3), (np.int8, 5)):
        info, limits = np.iinfo(kind), np.iinfo(NUMPY[to])
        for size in (3, 7, 64):
            x = spread(rng, kind, (6, size))
            x[0], x[1], x[2] = 0, info.max, np.where(np.arange(size) % 2, info.min, info.max)
            x[3] = 0
            x[3, -1] = 1
            zero = int(rng.integers(-3, 4)) if kind == np.int8 else 0
            out = {"low": int(limits.min), "high": int(limits.max), "to": to, "output_zero_point": 5 if to != 5 else 0}
            large = 19 if to == 5 else 27
            for parts, epsilon, multiplier, shift in (
                (0, 0, 1 << 30, 24),
                (size, 9, 1518500250, large),
                (max(size // 5, 1), 2, 1518500250, large - 1),
                (0, 3, 1 << 30, 26),
            ):
                factor = {"multiplier": multiplier, "shift": shift, "epsilon": epsilon}
                yield Sample(inputs=(x,), attributes={"zero_point": zero, "parts": parts, **factor, **out})


ROW_NORM = Op(name="RowNorm", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
