"""GatherElements and ScatterElements: elements picked, and put, along one axis by places computed at run time.

Exact in ONNX already. ONNX leaves open which of several elements put at one place stays; here it is the last, as in
ONNX Runtime.

Source: ONNX operator specification, GatherElements-13 and ScatterElements-18.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT48, Bound, Interval, Op, Sample, fits
from edgegate.ops._standard import union


def inside(indices: Interval, size: int) -> None:
    """OverflowError unless every index lies on an axis of ``size``; negative ones count from its end."""
    if indices.low < -size or indices.high >= size:
        raise OverflowError(f"the indices reach [{indices.low}, {indices.high}], past an axis of {size}")


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """``y[i][j] = x[i][indices[i][j]]`` for axis 1; negative indices count from the end."""
    axis %= x.ndim
    kept = tuple(slice(d) if i != axis else slice(None) for i, d in enumerate(indices.shape))
    return np.take_along_axis(x[kept], indices % x.shape[axis], axis)


def lower_gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    """Element by element."""
    from tvm import te, tirx

    axis %= len(x.shape)
    size = int(x.shape[axis])

    def element(*place: Any) -> Any:
        index = indices(*place)
        return x(*place[:axis], tirx.Select(index < 0, index + size, index), *place[axis + 1 :])

    return te.compute(indices.shape, element, name="taken")


def gather_bounds(x: Interval, indices: Interval, *, axis: int = 0) -> Bound:
    """Some of the elements; the indices stay on the axis."""
    if x.dims:
        inside(indices, x.dims[axis])
    return Bound(output=Interval(low=x.low, high=x.high))


def scatter(x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """``x`` with ``y[i][indices[i][j]] = updates[i][j]`` for axis 1, the last of several; or their sum onto ``x``.

    Args:
        x: Integers.
        indices: int64; negative ones count from the end.
        updates: Of the indices' shape and the type of ``x``.
        axis: Along which.
        reduction: "none" or "add".
    """
    y, axis = x.copy(), axis % x.ndim
    for place in np.ndindex(*indices.shape):
        at = (*place[:axis], int(indices[place]) % x.shape[axis], *place[axis + 1 :])
        y[at] = y[at] + updates[place] if reduction == "add" else updates[place]
    return y


def lower_scatter(x: Any, indices: Any, updates: Any, *, axis: int = 0, reduction: str = "none") -> Any:
    """Each output looks for the updates that are its own: no two of them ever write one place."""
    from tvm import te, tirx

    axis %= len(x.shape)
    size, count, kind = int(x.shape[axis]), int(indices.shape[axis]), str(x.dtype)
    k = te.reduce_axis((0, count), name="k")

    def mine(*place: Any) -> Any:
        at = (*place[:axis], k, *place[axis + 1 :])
        index = indices(*at)
        hit = tirx.Select(index < 0, index + size, index).equal(place[axis])
        inside = [p < int(d) for i, (p, d) in enumerate(zip(place, indices.shape, strict=True)) if i != axis]
        return at, tirx.all(hit, *inside)

    def summed(*place: Any) -> Any:
        at, hit = mine(*place)
        return te.sum(tirx.if_then_else(hit, updates(*at), tirx.const(0, kind)), axis=k)

    def last(*place: Any) -> Any:
        _, hit = mine(*place)
        return te.max(tirx.if_then_else(hit, k.var, -1), axis=k)

    if reduction == "add":
        sums = te.compute(x.shape, summed, name="sums")
        return te.compute(x.shape, lambda *p: x(*p) + sums(*p), name="added")
    who = te.compute(x.shape, last, name="last")

    def chosen(*place: Any) -> Any:
        found = who(*place)
        return tirx.if_then_else(found >= 0, updates(*place[:axis], found, *place[axis + 1 :]), x(*place))

    return te.compute(x.shape, chosen, name="put")


def scatter_bounds(
    x: Interval, indices: Interval, updates: Interval, *, axis: int = 0, reduction: str = "none"
) -> Bound:
    """Elements of both; of sums, as many updates as the axis of the indices has."""
    if x.dims:
        inside(indices, x.dims[axis])
    if reduction == "none":
        return union(x, updates)
    count = indices.dims[axis] if indices.dims else 1
    low, high = x.low + count * min(updates.low, 0), x.high + count * max(updates.high, 0)
    partial = Interval(low=low, high=high)
    bits = INT48 if x.dtype == np.int64 else 8 * (4 if x.dtype is None else x.dtype.itemsize)
    fits(partial, bits, "the sum")
    return Bound(output=partial, accumulator=partial, bits=bits)


def _gather_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for dtype, axis in ((np.int8, 1), (np.int16, -1), (np.int64, 0)):
        index = rng.integers(-3, 3, (3, 4, 3))[:2] if axis else rng.integers(-3, 3, (5, 4, 3))
        yield Sample(inputs=(spread(rng, dtype, (3, 4, 5)), index), attributes={"axis": axis})


def _scatter_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for dtype, axis, reduction in ((np.int8, 1, "none"), (np.int32, 0, "add"), (np.int16, -1, "none")):
        index, x = rng.integers(-3, 3, (2, 4, 3)), spread(rng, dtype, (3, 4, 5))
        shift = 3 if reduction == "add" else 0
        inputs = (x >> shift, index, spread(rng, dtype, (2, 4, 3)) >> shift)
        yield Sample(inputs=inputs, attributes={"axis": axis, "reduction": reduction})


GATHER_ELEMENTS = Op(
    name="GatherElements", domain="", reference=gather, bounds=gather_bounds, lower=lower_gather,
    samples=_gather_samples,
)  # fmt: skip
SCATTER_ELEMENTS = Op(
    name="ScatterElements", domain="", reference=scatter, bounds=scatter_bounds, lower=lower_scatter,
    samples=_scatter_samples,
)  # fmt: skip
BY_INDEX = (GATHER_ELEMENTS, SCATTER_ELEMENTS)
