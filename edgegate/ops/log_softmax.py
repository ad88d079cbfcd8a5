"""LogSoftmax: what is left of each row's elements less the logarithm of the sum of their exponentials.

    d = max(x) - x >= 0,  e and S = sum(e) as in :mod:`edgegate.ops._softmax`
    k = floor(log2(S)) - 30,  f = (S >> k) - 2**30
    l = logs[f >> 22] + ((logs[(f >> 22) + 1] - logs[f >> 22]) * (f & 2**22 - 1) + 2**21 >> 22) + k logs[256]
    y = clip((2**(shift - 1) - d slope - l nat >> shift) + output_zero_point, low, high)

``logs`` holds ln(1 + i / 256) times 2**30, so l is off by 2**-18 of a nat at most, from the straight lines between
its entries; one rounding makes the result, ties go up.

Source: ln(2**k m) = k ln(2) + ln(m), m in [1, 2): Muller, "Elementary Functions", 2016, section 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, TVM, spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits
from edgegate.ops._softmax import ENTRIES, HEAD, ONE, RECIPROCAL, exponentials, largest_sum, tables
from edgegate.ops.softmax import KINDS, SCALES

LARGEST_SHIFT = 62
PLACES = 22
"""Bits of a mantissa of 30 below those that choose an entry."""
HEADER = """<domain: "edgegate", opset_import: ["" : 21]>
LogSoftmax <slope, nat, shift, output_zero_point, low, high, to> (x, coarse, fine, logs) => (y) {"""
TAIL = """
    by = Constant <value_int: int = @slope> ()
    step = Constant <value_int: int = @nat> ()
    bits = Constant <value_int: int = @shift> ()
    zy = Constant <value_int: int = @output_zero_point> ()
    least = Constant <value_int: int = @low> ()
    most = Constant <value_int: int = @high> ()
    first_power = Constant <value_int: int = 31> ()
    behind = Constant <value_int: int = 62> ()
    segment = Constant <value_int: int = 4194304> ()
    half_segment = Constant <value_int: int = 2097152> ()
    whole_table = Constant <value_int: int = 256> ()
    logs_64 = Cast <to: int = 7> (logs)
    counts = Range (first_power, behind, one)
    edges = Pow (two, counts)
    column = Unsqueeze (sum, last)
    passed = GreaterOrEqual (column, edges)
    passes = Cast <to: int = 7> (passed)
    k = ReduceSum <keepdims: int = 0> (passes, last)
    power = Pow (two, k)
    mantissa = Div (sum, power)
    f = Sub (mantissa, unit)
    at = Div (f, segment)
    part = Mod (f, segment)
    following = Add (at, one)
    before = Gather (logs_64, at)
    after = Gather (logs_64, following)
    ln_2 = Gather (logs_64, whole_table)
    rise = Sub (after, before)
    risen = Mul (rise, part)
    near = Add (risen, half_segment)
    line = Div (near, segment)
    of_mantissa = Add (before, line)
    of_power = Mul (k, ln_2)
    l = Add (of_mantissa, of_power)
    below_top = Mul (d, by)
    below_sum = Mul (l, step)
    far = Add (below_top, below_sum)
    under = Sub (bits, one)
    half = Pow (two, under)
    divisor = Mul (half, two)
    biased = Sub (half, far)
    rest = Mod (biased, divisor)
    whole = Sub (biased, rest)
    quotient = Div (whole, divisor)
    moved = Add (quotient, zy)
    floored = Max (moved, least)
    clipped = Min (floored, most)
    y = Cast <to: int = @to> (clipped)
"""
BODY = f"{HEADER}{HEAD.format(seen='wide', kept='e = Identity (exponential)')}{TAIL}}}"


def reference(
    x: Array, coarse: Array, fine: Array, logs: Array, *,
    slope: int, nat: int, shift: int, output_zero_point: int, low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """LogSoftmax along the last axis.

    Args:
        x: int8, uint8 or int16, [..., n].
        coarse: int32 [256]: exp(-256 i s) in Q0.30.
        fine: int32 [256]: exp(-i s) in Q0.30.
        logs: int32 [257]: ln(1 + i / 256) in Q0.30.
        slope: One step of ``x``, in 2**-shift of a step of the result.
        nat: 2**-30, in the same.
        shift: In [1, 62].
        output_zero_point: Added to the result.
        low: Least value kept.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    wide, table = x.astype(np.int64), logs.astype(np.int64)
    d = wide.max(-1, keepdims=True) - wide
    e = (coarse.astype(np.int64)[d >> 8] * fine.astype(np.int64)[d & 255] + (1 << ONE - 1)) >> ONE
    total = e.sum(-1, keepdims=True)
    k = (total[..., None] >= 2 ** np.arange(ONE + 1, RECIPROCAL + 1)).sum(-1)
    f = (total >> k) - (1 << ONE)
    at, part = f >> PLACES, f & ((1 << PLACES) - 1)
    line = ((table[at + 1] - table[at]) * part + (1 << PLACES - 1)) >> PLACES
    far = d * slope + (table[at] + line + k * table[ENTRIES]) * nat
    y = ((1 << shift - 1) - far) >> shift
    return np.clip(y + output_zero_point, low, high).astype(NUMPY[to])


def lower(
    x: Any, coarse: Any, fine: Any, logs: Any, *,
    slope: int, nat: int, shift: int, output_zero_point: int, low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """The maximum and the sum of each row, its logarithm, and one product an element."""
    from tvm import te, tirx

    def whole(value: int) -> Any:
        return tirx.const(value, "int64")

    top, _, total = exponentials(x, None, coarse, fine)
    log = te.compute(total.shape, lambda *i: _logarithm(total(*i), logs, whole), name="logarithm")

    def element(*i: Any) -> Any:
        d = top(*i[:-1]) - x(*i).astype("int64")
        y = (whole(1 << shift - 1) - d * whole(slope) - log(*i[:-1]) * whole(nat)) >> whole(shift)
        moved = y + whole(output_zero_point)
        return tirx.min(tirx.max(moved, whole(low)), whole(high)).astype(TVM[to])

    return te.compute(x.shape, element, name="log_softmax")


def _logarithm(total: Any, logs: Any, whole: Any) -> Any:
    """ln(total / 2**30) in Q0.30."""
    k = whole(0)
    for power in range(ONE + 1, RECIPROCAL + 1):
        k = k + (total >= whole(1 << power)).astype("int64")
    f = (total >> k) - whole(1 << ONE)
    at, part = f >> whole(PLACES), f & whole((1 << PLACES) - 1)
    before, after = logs(at).astype("int64"), logs(at + whole(1)).astype("int64")
    line = ((after - before) * part + whole(1 << PLACES - 1)) >> whole(PLACES)
    return before + line + k * logs(whole(ENTRIES)).astype("int64")


def bounds(
    x: Interval, coarse: Interval, fine: Interval, logs: Interval, *,
    slope: int, nat: int, shift: int, output_zero_point: int, low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """The logarithms rise from 0; the distance of the farthest element of the longest row fits 62 bits."""
    most, data = largest_sum(x, coarse, fine), logs.data
    if data is None or data.shape != (ENTRIES + 1,) or data[0] != 0 or (np.diff(data.astype(np.int64)) < 0).any():
        raise OverflowError("a logarithm needs a constant table of 257 entries that rise from 0")
    if slope < 0 or nat < 0 or not 1 <= shift <= LARGEST_SHIFT:
        raise OverflowError(f"({slope}, {nat}) / 2**{shift} lies outside the domain of LogSoftmax")
    kind = np.iinfo(NUMPY[to])
    if not (kind.min <= low <= high <= kind.max and kind.min <= output_zero_point <= kind.max):
        raise OverflowError(f"clip range [{low}, {high}] does not fit {np.dtype(NUMPY[to])}")
    powers = max(most.bit_length() - 1 - ONE, 0)
    farthest = (x.high - x.low) * slope + (powers + 1) * int(data[-1]) * nat
    fits(Interval(low=-farthest, high=1 << shift - 1), LARGEST_SHIFT + 1, "the distance of an element")
    return Bound(output=Interval(low=low, high=min(max(output_zero_point, low), high)))


def logarithms() -> Array:
    """``logs``: int32 [257]."""
    return np.rint(np.log1p(np.arange(ENTRIES + 1) / ENTRIES) * (1 << ONE)).astype(np.int32)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Flat and steep rows, of two elements, of equal ones, of extremes; every pair of types."""
    for kind, to, _ in KINDS:
        for scale in SCALES[np.dtype(kind).itemsize]:
            info, limits = np.iinfo(kind), np.iinfo(NUMPY[to])
            x = spread(rng, kind, (6, 33))
            x[0], x[1] = info.min, np.where(np.arange(33) % 3, info.min, info.max)
            steps = int(16 / (scale * (limits.max - limits.min))) + 1  # of x in one of y
            settings = {"shift": 40, "slope": (1 << 40) // steps, "nat": int((1 << 10) / (scale * steps))}
            settings |= {"output_zero_point": int(limits.max), "low": int(limits.min), "high": int(limits.max)}
            for rows in (x, x[:, :2]):
                yield Sample(inputs=(rows, *tables(scale), logarithms()), attributes={**settings, "to": to})


LOG_SOFTMAX = Op(name="LogSoftmax", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
