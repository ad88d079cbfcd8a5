"""CumSum of the standard domain: running sums of int32 or int64 along one axis, exact as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits


def reference(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Sum what is not behind each element of ``x``, int32 or int64.

    Args:
        x: int32 or int64.
        axis: int64, one number.
        exclusive: Leave out the element itself.
        reverse: Sum from the end.
    """
    along = int(np.asarray(axis).reshape(-1)[0])
    turned = np.flip(x, along) if reverse else x
    sums = np.cumsum(turned, along, dtype=x.dtype) - (turned if exclusive else 0)
    return np.ascontiguousarray(np.flip(sums, along) if reverse else sums)


def lower(x: Any, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Any:
    """The portable TE form: a reduction for each element, in which all of them may run at once."""
    from tvm import te, tirx

    at = int(np.asarray(axis).reshape(-1)[0]) % len(x.shape)
    k = te.reduce_axis((0, int(x.shape[at])), name="k")

    def element(*index: Any) -> Any:
        here, value = index[at], x(*index[:at], k, *index[at + 1 :])
        before, after = (here, k) if reverse else (k, here)
        counts = before < after if exclusive else before <= after
        return te.sum(tirx.Select(counts, value, tirx.const(0, str(x.dtype))), axis=k)

    return te.compute(x.shape, element, name="running")


def bounds(x: Interval, axis: Interval, *, exclusive: int = 0, reverse: int = 0) -> Bound:
    """The sum of the whole axis fits int32, or 48 bits of an int64."""
    if axis.data is None:
        raise OverflowError("the axis must be a constant")
    count = x.dims[int(axis.data.reshape(-1)[0])]
    bits = INT48 if x.dtype == np.int64 else INT32
    partial = Interval(low=count * min(x.low, 0), high=count * max(x.high, 0))
    fits(partial, bits, "the sum")
    return Bound(output=partial, accumulator=partial, bits=bits)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """First, middle and last axis, both ways, with and without the element itself; both types."""
    for axis, exclusive, reverse in ((0, 0, 0), (1, 1, 0), (-1, 0, 1), (1, 1, 1)):
        settings = {"exclusive": exclusive, "reverse": reverse}
        for dtype, shift in ((np.int32, 4), (np.int64, 20)):
            x = spread(rng, dtype, (3, 7, 4)) >> shift
            yield Sample(inputs=(x, np.array(axis, np.int64)), attributes=settings)


CUM_SUM = Op(
    name="CumSum", domain="", reference=reference, bounds=bounds, lower=lower, samples=samples, static=(1,)
)  # fmt: skip
