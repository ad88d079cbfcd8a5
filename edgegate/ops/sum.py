"""Sum: over whole axes, in int32. A Rescale by one over the count makes the mean (of squeeze-and-excite, say).

    y = sum over axes of (x - input_zero_point)

Source: TOSA 1.0.1, REDUCE_SUM (which takes int32: here the widening is part of the op).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Sum <axes, keepdims, input_zero_point> (x) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = Cast <to: int = 6> (zero)
    over = Constant <value_ints: ints = @axes> ()
    wide = Cast <to: int = 6> (x)
    centred = Sub (wide, zero_point)
    y = ReduceSum <keepdims: int = @keepdims> (centred, over)
}
"""


def reference(x: Array, *, axes: Sequence[int], keepdims: int, input_zero_point: int) -> Array:
    """Sum int8, uint8 or int16 over ``axes`` (counted from 0) into int32."""
    centred = x.astype(np.int32) - np.int32(input_zero_point)
    return centred.sum(axis=tuple(axes), keepdims=bool(keepdims), dtype=np.int32)


def lower(x: Any, *, axes: Sequence[int], keepdims: int, input_zero_point: int) -> Any:
    """The portable TE form."""
    from tvm import te, topi

    centred = te.compute(x.shape, lambda *i: x(*i).astype("int32") - input_zero_point, name="centred")
    return topi.sum(centred, axis=list(axes), keepdims=bool(keepdims))


def bounds(x: Interval, *, axes: Sequence[int], keepdims: int, input_zero_point: int) -> Bound:
    """Every partial sum fits int32."""
    centred, count = x.shifted(-input_zero_point), prod(x.dims[a] for a in axes)
    partial = Interval(low=count * min(centred.low, 0), high=count * max(centred.high, 0))
    fits(partial, 32, "the sum")
    return Bound(output=Interval(low=count * centred.low, high=count * centred.high), accumulator=partial)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Space, channels and the last axis; kept and dropped."""
    for axes, keepdims, zero_point in (([1, 2], 1, -128), ([1, 2], 0, 127), ([3], 1, 5)):
        attributes = {"axes": axes, "keepdims": keepdims, "input_zero_point": zero_point}
        yield Sample(inputs=(spread(rng, np.int8, (2, 7, 5, 9)),), attributes=attributes)


SUM = Op(name="Sum", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
