"""Softmax: exponentials over their sum, along the last axis (:mod:`edgegate.ops._softmax` has the formulas)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops._softmax import BODY, bound, lowered, softmax, tables

HEADER = '<domain: "edgegate", opset_import: ["" : 21]>\nSoftmax <bits, low, high, to> (x, coarse, fine) => (y) {'
TEXT = f"{HEADER}{BODY.format(seen='wide', kept='e = Identity (exponential)')}}}"
KINDS = ((np.int8, 2, 8), (np.int16, 5, 15), (np.uint8, 5, 15), (np.int16, 2, 10), (np.int8, 3, 7))

SCALES = {1: (1 / 8, 1 / 40), 2: (1 / 1000, 1 / 9000)}
"""Of the samples, by the bytes of their integers."""


def reference(x: Array, coarse: Array, fine: Array, *, bits: int, low: int, high: int, to: int) -> Array:
    """Softmax along the last axis.

    Args:
        x: int8, uint8 or int16, [..., n].
        coarse: int32 [256]: exp(-256 i s) in Q0.30.
        fine: int32 [256]: exp(-i s) in Q0.30.
        bits: Fractional bits of the result, in [0, 30].
        low: Least value kept, at most 0.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    return softmax(x, None, coarse, fine, bits, low, high, to)


def lower(x: Any, coarse: Any, fine: Any, *, bits: int, low: int, high: int, to: int) -> Any:
    """Three passes over each row."""
    return lowered(x, None, coarse, fine, bits, low, high, to)


def bounds(x: Interval, coarse: Interval, fine: Interval, *, bits: int, low: int, high: int, to: int) -> Bound:
    """As :func:`edgegate.ops._softmax.bound`."""
    return bound(x, coarse, fine, bits, low, high, to)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Flat and steep rows, equal elements, extremes; every pair of types."""
    for kind, to, bits in KINDS:
        for scale in SCALES[np.dtype(kind).itemsize]:
            x, info = spread(rng, kind, (5, 33)), np.iinfo(kind)
            x[0], x[1] = info.min, np.where(np.arange(33) % 3, info.min, info.max)
            high = {2: 255, 3: 127, 5: 32767}[to]
            yield Sample(inputs=(x, *tables(scale)), attributes={"bits": bits, "low": 0, "high": high, "to": to})


SOFTMAX = Op(name="Softmax", body=TEXT, reference=reference, bounds=bounds, lower=lower, samples=samples)
