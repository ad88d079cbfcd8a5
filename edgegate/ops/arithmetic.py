"""The standard arithmetic and comparisons on integers: exact in ONNX already, so they carry no body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import elementwise, spread
from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops._standard import arithmetic, union


def _max(a: Any, b: Any) -> Any:
    from tvm import tirx

    return tirx.max(a, b)


def _min(a: Any, b: Any) -> Any:
    from tvm import tirx

    return tirx.min(a, b)


def _select(condition: Any, a: Any, b: Any) -> Any:
    from tvm import tirx

    return tirx.Select(condition, a, b)


def _truth(*_: Interval) -> Bound:
    return Bound(output=Interval(low=0, high=1))


def _comparison(name: str, reference: Callable[..., Array], scalar: Callable[..., Any]) -> Op:
    """A row for a comparison of two int32 tensors."""
    return Op(
        name=name,
        domain="",
        reference=reference,
        bounds=_truth,
        scalar=scalar,
        lower=elementwise(scalar),
        samples=_near_pairs,
    )


def _near_pairs(rng: np.random.Generator) -> Iterator[Sample]:
    """Pairs that are often equal."""
    yield Sample(inputs=(rng.integers(-3, 4, (4, 9)).astype(np.int32), rng.integers(-3, 4, (9,)).astype(np.int32)))


def _where_samples(rng: np.random.Generator) -> Iterator[Sample]:
    """A mask, and two tensors of one type; broadcast."""
    for dtype in (np.int8, np.int32):
        chosen = rng.integers(0, 2, (3, 1, 5)).astype(np.bool_)
        yield Sample(inputs=(chosen, spread(rng, dtype, (3, 4, 5)), spread(rng, dtype, (4, 5))))


SUMS = (
    arithmetic("Add", np.add, lambda a, b: a + b, lambda a, b: a + b),
    arithmetic("Sub", np.subtract, lambda a, b: a - b, lambda a, b: a - b),
    arithmetic("Mul", np.multiply, lambda a, b: a * b, lambda a, b: a * b),
    arithmetic("Max", np.maximum, _max, max),
    arithmetic("Min", np.minimum, _min, min),
)
COMPARISONS = (
    _comparison("Greater", np.greater, lambda a, b: a > b),
    _comparison("GreaterOrEqual", np.greater_equal, lambda a, b: a >= b),
    _comparison("Less", np.less, lambda a, b: a < b),
    _comparison("LessOrEqual", np.less_equal, lambda a, b: a <= b),
    _comparison("Equal", np.equal, lambda a, b: a.equal(b)),
)
WHERE = Op(
    name="Where",
    domain="",
    reference=np.where,
    bounds=lambda _, a, b: union(a, b),
    scalar=_select,
    lower=elementwise(_select),
    samples=_where_samples,
)
ARITHMETIC = (*SUMS, *COMPARISONS, WHERE)
