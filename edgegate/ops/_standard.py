"""What the rows of standard ONNX ops share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import elementwise, spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits


def arithmetic(
    name: str, reference: Callable[..., Array], scalar: Callable[..., Any], corners: Callable[..., int]
) -> Op:
    """A row for a monotone (or bilinear) int32 op of two inputs: its extremes lie at the ends of the intervals."""

    def bounds(a: Interval, b: Interval) -> Bound:
        ends = [corners(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        output = Interval(low=min(ends), high=max(ends))
        fits(output, 64, f"the result of {name}")
        return Bound(output=output)

    return Op(
        name=name,
        domain="",
        reference=reference,
        bounds=bounds,
        scalar=scalar,
        lower=elementwise(scalar),
        samples=pairs,
    )


def pairs(rng: np.random.Generator) -> Iterator[Sample]:
    """Two int32 tensors of small values, same shape and broadcast."""
    a = spread(rng, np.int32, (3, 4, 5)) >> 16
    yield Sample(inputs=(a, spread(rng, np.int32, (3, 4, 5)) >> 16))
    yield Sample(inputs=(a, spread(rng, np.int32, (5,)) >> 16))


def same(x: Interval, *others: Interval, **attributes: Any) -> Bound:
    """Elements are moved, not changed."""
    return Bound(output=Interval(low=x.low, high=x.high))


def union(*inputs: Interval, **attributes: Any) -> Bound:
    """Every output element is one of the inputs'."""
    return Bound(output=Interval(low=min(x.low for x in inputs), high=max(x.high for x in inputs)))
