"""MaskedSoftmax: a softmax of the kept elements of each row; the others are 0, and so is a row that keeps none.

:mod:`edgegate.ops._softmax` has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops._softmax import BODY, bound, lowered, softmax, tables
from edgegate.ops.softmax import KINDS, SCALES

HEADER = """<domain: "edgegate", opset_import: ["" : 21]>
MaskedSoftmax <bits, low, high, to> (x, keep, coarse, fine) => (y) {
    dims = Shape (x)
    all_keep = Expand (keep, dims)
    nothing = Constant <value_int: int = -32768> ()
    wide_x = Cast <to: int = 7> (x)
    seen = Where (all_keep, wide_x, nothing)"""
TEXT = f"{HEADER}{BODY.format(seen='seen', kept='e = Where (all_keep, exponential, zero)')}}}"


def reference(x: Array, keep: Array, coarse: Array, fine: Array, *, bits: int, low: int, high: int, to: int) -> Array:
    """Softmax along the last axis, of what is kept.

    Args:
        x: int8, uint8 or int16, [..., n].
        keep: bool, of a shape that broadcasts to that of ``x``.
        coarse: int32 [256]: exp(-256 i s) in Q0.30.
        fine: int32 [256]: exp(-i s) in Q0.30.
        bits: Fractional bits of the result, in [0, 30].
        low: Least value kept, at most 0.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    return softmax(x, np.broadcast_to(keep, x.shape), coarse, fine, bits, low, high, to)


def lower(x: Any, keep: Any, coarse: Any, fine: Any, *, bits: int, low: int, high: int, to: int) -> Any:
    """Three passes over each row."""
    from tvm import topi

    return lowered(x, topi.broadcast_to(keep, x.shape), coarse, fine, bits, low, high, to)


def bounds(
    x: Interval, keep: Interval, coarse: Interval, fine: Interval, *, bits: int, low: int, high: int, to: int
) -> Bound:
    """As :func:`edgegate.ops._softmax.bound`."""
    return bound(x, coarse, fine, bits, low, high, to)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Masks of every density, causal ones, rows that keep nothing or the least alone, and masks that broadcast."""
    for kind, to, bits in KINDS:
        for scale in SCALES[np.dtype(kind).itemsize]:
            x, high = spread(rng, kind, (2, 9, 9)), {2: 255, 3: 127, 5: 32767}[to]
            settings = {"bits": bits, "low": 0, "high": high, "to": to}
            some = rng.random((2, 9, 9)) < rng.random((2, 9, 1))
            some[0, 0] = False
            some[0, 1] = x[0, 1] == x[0, 1].min()
            for keep in (some, np.tri(9, dtype=bool), np.any(some, 1, keepdims=True), some[:1, :, :1]):
                yield Sample(inputs=(x, np.asarray(keep), *tables(scale)), attributes=settings)


MASKED_SOFTMAX = Op(
    name="MaskedSoftmax", body=TEXT, reference=reference, bounds=bounds, lower=lower, samples=samples
)  # fmt: skip
