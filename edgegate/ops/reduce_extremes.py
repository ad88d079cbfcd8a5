"""ReduceMax and ReduceMin: the greatest and the least value over whole axes (the channels, in CBAM).

ONNX has them for 8 and 32 bits, but not for int16, so they are ops of the project.

Source: TOSA 1.0.1, REDUCE_MAX and REDUCE_MIN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
{name} <axes, keepdims> (x) => (y) {{
    over = Constant <value_ints: ints = @axes> ()
    wide = Cast <to: int = 6> (x)
    picked = {name} <keepdims: int = @keepdims> (wide, over)
    y = CastLike (picked, x)
}}
"""


def bounds(x: Interval, *, axes: Sequence[int], keepdims: int) -> Bound:
    """The result is one of the elements."""
    return Bound(output=Interval(low=x.low, high=x.high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Space and channels, kept and dropped, of each type; rows that hold no extreme value."""
    for dtype, axes, keepdims in ((np.int8, [1, 2], 1), (np.uint8, [3], 1), (np.int16, [3], 0), (np.int8, [2], 0)):
        x = spread(rng, dtype, (2, 5, 4, 3))
        yield Sample(inputs=(x,), attributes={"axes": axes, "keepdims": keepdims})


def _row(name: str, pick: Callable[..., Any]) -> Op:
    def reference(x: Array, *, axes: Sequence[int], keepdims: int) -> Any:
        """Reduce int8, uint8 or int16 over ``axes`` (counted from 0)."""
        return pick(x, axis=tuple(axes), keepdims=bool(keepdims))

    def lower(x: Any, *, axes: Sequence[int], keepdims: int) -> Any:
        """As topi has it."""
        from tvm import topi

        reduce = topi.max if name == "ReduceMax" else topi.min
        return reduce(x, axis=list(axes), keepdims=bool(keepdims))

    body = BODY.format(name=name)
    return Op(name=name, body=body, reference=reference, bounds=bounds, lower=lower, samples=samples)


REDUCE_EXTREMES = (_row("ReduceMax", np.max), _row("ReduceMin", np.min))
