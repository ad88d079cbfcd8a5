"""TopK: the greatest or least values along one axis, in order, and their places; of equals the lower place is first.

Exact in ONNX already. The places decide the route of a mixture of experts, so that the order of equal values is part
of the meaning: the one of the specification, which engines keep.

Source: ONNX operator specification, TopK-11.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample


def reference(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    """The first ``k`` of ``x`` in falling order (rising, unless ``largest``), and their places.

    Args:
        x: Integers of any type.
        k: int64, one number, at most the length of the axis.
        axis: Along which.
        largest: Whether the greatest come first.
        sorted: 1.

    Returns:
        Values in the type of ``x``, and places in int64.
    """
    wide = x.astype(np.int64)
    order = np.argsort(~wide if largest else wide, axis, kind="stable")  # ~x falls as x rises, and never overflows
    places = np.take(order, np.arange(int(np.asarray(k).reshape(-1)[0])), axis)
    return np.take_along_axis(x, places, axis), places.astype(np.int64)


def lower(x: Any, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> list[Any]:
    """The portable form: each element's rank is how many come before it, the output is who has each rank."""
    from tvm import te, tirx

    axis, dims = axis % len(x.shape), [int(d) for d in x.shape]
    size, count = dims[axis], int(np.asarray(k).reshape(-1)[0])
    other = te.reduce_axis((0, size), name="other")

    def rank(*place: Any) -> Any:
        mine, theirs = x(*place), x(*place[:axis], other, *place[axis + 1 :])
        before = theirs > mine if largest else theirs < mine
        first = tirx.any(before, tirx.all(theirs.equal(mine), other < place[axis]))
        return te.sum(tirx.Select(first, 1, 0), axis=other)

    ranks = te.compute(dims, rank, name="rank")
    who = te.reduce_axis((0, size), name="who")

    def holder(*place: Any) -> Any:
        hit = ranks(*place[:axis], who, *place[axis + 1 :]).equal(place[axis])
        return te.sum(tirx.Select(hit, who.var.astype("int64"), tirx.const(0, "int64")), axis=who)

    made = [count if i == axis else d for i, d in enumerate(dims)]
    places = te.compute(made, holder, name="places")
    values = te.compute(made, lambda *p: x(*p[:axis], places(*p), *p[axis + 1 :]), name="values")
    return [values, places]


def bounds(x: Interval, k: Interval, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Bound:
    """Some of the elements, and places on the axis."""
    last = max(x.dims[axis] - 1, 0) if x.dims else np.iinfo(np.int32).max
    return Bound(output=Interval(low=x.low, high=x.high), more=(Interval(low=0, high=last),))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows with many equal values, both ways, on each axis; all of a row; rows of every magnitude."""
    for name, axis, largest, k in (("int8", -1, 1, 2), ("int16", 1, 1, 5), ("int32", 0, 0, 6), ("uint8", 1, 0, 1)):
        x = rng.integers(3, 7, (6, 5, 4)).astype(name)
        yield Sample(inputs=(x, np.array([k])), attributes={"axis": axis, "largest": largest, "sorted": 1})
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        x = spread(rng, dtype, (3, 40))
        yield Sample(inputs=(x, np.array([7])), attributes={"axis": 1, "largest": 1, "sorted": 1})


TOP_K = Op(
    name="TopK", domain="", reference=reference, bounds=bounds, lower=lower, samples=samples, static=(1,)
)  # fmt: skip
