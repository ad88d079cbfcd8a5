"""Threshold: every value compared with its thresholds, one bit each; a thermometer code if they rise.

    y[..., t] = x[...] > thresholds[..., t]

Between stored integers it is an op like all others. On a float input of the model it is the edge instead of a
QuantizeLinear: a comparison rounds nothing, so the bits are those of the float model.

Source: Petersen et al., Deep Differentiable Logic Gate Networks (NeurIPS 2022), section 4; Bacellar et al.,
Differentiable Weightless Neural Networks (ICML 2024), section 3, for thermometers. Strict, as in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Threshold (x, thresholds) => (y) {
    last = Constant <value_ints: ints = [-1]> ()
    same = CastLike (x, thresholds)
    each = Unsqueeze (same, last)
    met = Greater (each, thresholds)
    y = Cast <to: int = 2> (met)
}
"""


def reference(x: Array, thresholds: Array) -> Array:
    """Compare.

    Args:
        x: int8, uint8, int16 or int32 [...]; float32 at the edge.
        thresholds: int32 [..., T] (float32 at the edge), where the leading axes broadcast to those of ``x``.

    Returns:
        uint8 [..., T] of 0 and 1.
    """
    return (x.astype(thresholds.dtype)[..., None] > thresholds).astype(np.uint8)


def lower(x: Any, thresholds: Any) -> Any:
    """Element by element."""
    from tvm import te, tirx

    sizes = [int(d) for d in thresholds.shape]
    missing = len(x.shape) + 1 - len(sizes)

    def element(*index: Any) -> Any:
        place = [tirx.const(0, "int32") if d == 1 else i for d, i in zip(sizes, index[missing:], strict=True)]
        bits = [tirx.const(bit, "uint8") for bit in (1, 0)]
        return tirx.Select(x(*index[:-1]).astype(thresholds.dtype) > thresholds(*place), *bits)

    return te.compute((*x.shape, sizes[-1]), element, name="bits")


def bounds(x: Interval, thresholds: Interval) -> Bound:
    """Bits."""
    return Bound(output=Interval(low=0, high=1))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Values on, above and below their thresholds, of each type; thresholds per feature and shared by all."""
    kinds = ((np.int8, (3, 5), (5, 7)), (np.uint8, (2, 4, 6), (1, 3)), (np.int16, (4, 1, 3), (1, 3, 2)),
             (np.int32, (2, 3), (3, 1)))  # fmt: skip
    for dtype, dims, shape in kinds:
        x = spread(rng, dtype, dims)
        picked = rng.choice(x.reshape(-1), shape).astype(np.int64) + rng.integers(-1, 2, shape)
        yield Sample(inputs=(x, np.clip(picked, -(2**31), 2**31 - 1).astype(np.int32)))


THRESHOLD = Op(name="Threshold", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
