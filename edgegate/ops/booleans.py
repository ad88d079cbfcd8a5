"""And, Or, Xor and Not of bools: exact in ONNX already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import elementwise
from edgegate.ops._op import Bound, Interval, Op, Sample


def _both(a: Any, b: Any) -> Any:
    from tvm import tirx

    return tirx.all(a, b)


def _either(a: Any, b: Any) -> Any:
    from tvm import tirx

    return tirx.any(a, b)


def _differ(a: Any, b: Any) -> Any:
    return a.astype("int32") != b.astype("int32")


def _not(a: Any) -> Any:
    from tvm import tirx

    return tirx.Not(a)


def _truth(*_: Interval) -> Bound:
    return Bound(output=Interval(low=0, high=1))


def _row(name: str, reference: Callable[..., Array], scalar: Callable[..., Any], count: int) -> Op:
    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        """One shape, and broadcast."""
        for dims in ((3, 4, 5), (4, 1)):
            inputs = [rng.integers(0, 2, d).astype(np.bool_) for d in ((3, 4, 5), dims)]
            yield Sample(inputs=tuple(inputs[:count]))

    return Op(
        name=name, domain="", reference=reference, bounds=_truth, scalar=scalar, lower=elementwise(scalar),
        samples=samples,
    )  # fmt: skip


BOOLEANS = (
    _row("And", np.logical_and, _both, 2),
    _row("Or", np.logical_or, _either, 2),
    _row("Xor", np.logical_xor, _differ, 2),
    _row("Not", np.logical_not, _not, 1),
)
