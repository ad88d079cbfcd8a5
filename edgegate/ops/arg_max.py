"""ArgMax: the place of the greatest value along one axis, the lowest of equals. Exact in ONNX already.

Source: ONNX operator specification, ArgMax-13, with ``select_last_index`` 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._op import Bound, Interval, Op, Sample


def reference(x: Array, *, axis: int, keepdims: int) -> Array:
    """The place along ``axis``, int64, of the greatest of int8, uint8 or int32 values.

    The axis stays with length one if ``keepdims``.
    """
    return np.argmax(x, axis, keepdims=bool(keepdims)).astype(np.int64)


def lower(x: Any, *, axis: int, keepdims: int) -> Any:
    """As topi has it, but for the type."""
    from tvm import topi

    return topi.cast(topi.argmax(x, axis, bool(keepdims), False), "int64")


def bounds(x: Interval, *, axis: int, keepdims: int) -> Bound:
    """A place on the axis."""
    return Bound(
        output=Interval(low=0, high=max(x.dims[axis] - 1, 0)) if x.dims else Interval.of_dtype(np.dtype("int32"))
    )


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows with several greatest values, on every axis, of each type."""
    for dtype, axis, keepdims in ((np.int8, -1, 0), (np.int32, 1, 1), (np.uint8, 0, 0)):
        x = rng.integers(3, 7, (6, 5, 4)).astype(dtype)
        yield Sample(inputs=(x,), attributes={"axis": axis, "keepdims": keepdims})


ARG_MAX = Op(name="ArgMax", domain="", reference=reference, bounds=bounds, lower=lower, samples=samples)
