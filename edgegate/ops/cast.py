"""Cast between integers and bools: exact in ONNX already, for what the type can hold.

Source: ONNX operator specification, Cast-21; a number is true unless it is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, elementwise
from edgegate.ops._op import Bound, Interval, Op, Sample

BOOL = 9
"""ONNX's number of the type."""


def reference(x: Array, *, to: int) -> Array:
    """``x`` in the ONNX type ``to``: a bool, or an integer that holds it."""
    return x != 0 if to == BOOL else x.astype(NUMPY[to])


def _scalar(x: Any, *, to: int) -> Any:
    return x.astype("bool" if to == BOOL else np.dtype(NUMPY[to]).name)


def bounds(x: Interval, *, to: int) -> Bound:
    """As before, and nothing may be lost: that of a bool is [0, 1]."""
    return Bound(output=Interval(low=0, high=1) if to == BOOL else Interval(low=x.low, high=x.high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Bools and small integers, from and to each type."""
    for source in (np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64):
        x = rng.integers(0, 2 if source == np.bool_ else 6, (3, 5)).astype(source)
        for to in (*NUMPY, BOOL):
            yield Sample(inputs=(x,), attributes={"to": to})
    yield Sample(inputs=(np.array([-128, 127, -1], np.int64),), attributes={"to": 3})


CAST = Op(
    name="Cast", domain="", reference=reference, bounds=bounds, lower=elementwise(_scalar), scalar=_scalar,
    samples=samples,
)  # fmt: skip
