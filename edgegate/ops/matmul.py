"""MatMul: int8 rows times int8 columns, summed in int32.

    y[..., i, j] = bias[j] + sum over k of (a[..., i, k] - a_zero_point) * (b[..., k, j] - b_zero_point)

Source: TOSA 1.0.1, MATMUL (to which the bias is added).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, product
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
MatMul <a_zero_point, b_zero_point> (a, b, bias) => (y) {
    a_zero = Constant <value_int: int = @a_zero_point> ()
    b_zero = Constant <value_int: int = @b_zero_point> ()
    za = CastLike (a_zero, a)
    zb = CastLike (b_zero, b)
    acc = MatMulInteger (a, b, za, zb)
    y = Add (acc, bias)
}
"""


def reference(a: Array, b: Array, bias: Array, *, a_zero_point: int, b_zero_point: int) -> Array:
    """Multiply.

    Args:
        a: int8 or uint8 [..., M, K].
        b: int8 or uint8 [K, N] (weights, never -128) or [..., K, N].
        bias: int32 [N].
        a_zero_point: Stored value of real zero in ``a``.
        b_zero_point: Stored value of real zero in ``b``; 0 for weights.

    Returns:
        int32 [..., M, N].
    """
    left, right = a.astype(np.int32) - np.int32(a_zero_point), b.astype(np.int32) - np.int32(b_zero_point)
    return product(left, right) + bias


def lower(a: Any, b: Any, bias: Any, *, a_zero_point: int, b_zero_point: int) -> Any:
    """The portable TE form."""
    return compute(a, b, bias, "int32", a_zero_point, b_zero_point)


def compute(a: Any, b: Any, bias: Any, dtype: str, a_zero_point: int, b_zero_point: int) -> Any:
    """TE matrix product with accumulators of ``dtype``; leading axes broadcast."""
    from tvm import te, tirx

    (*left, m, depth), (*right, _, n) = ([int(d) for d in t.shape] for t in (a, b))
    lead = np.broadcast_shapes(tuple(left), tuple(right))
    k = te.reduce_axis((0, depth), name="k")

    def at(t: Any, dims: list[int], index: tuple[Any, ...], *last: Any) -> Any:
        picked = [0 if d == 1 else i for d, i in zip(dims, index[len(index) - len(dims) :], strict=True)]
        return t(*picked, *last).astype(dtype)

    def element(*index: Any) -> Any:
        *outer, i, j = index
        x = at(a, left, tuple(outer), i, k) - tirx.const(a_zero_point, dtype)
        w = at(b, right, tuple(outer), k, j) - tirx.const(b_zero_point, dtype)
        return te.sum(x * w, axis=k)

    acc = te.compute((*lead, m, n), element, name="acc")
    return te.compute((*lead, m, n), lambda *index: acc(*index) + bias(index[-1]), name="y")


def bounds(a: Interval, b: Interval, bias: Interval, *, a_zero_point: int, b_zero_point: int) -> Bound:
    """Every partial sum fits int32."""
    if bias.data is None:
        raise OverflowError("the bias must be a constant")
    if b.data is None:
        return _product_bounds(a.shifted(-a_zero_point), b.shifted(-b_zero_point), bias)
    columns = b.data.astype(np.int64) - b_zero_point
    rows = np.swapaxes(columns, -1, -2).reshape(-1, columns.shape[-2])
    repeated = np.broadcast_to(bias.data, (len(rows) // bias.data.size, bias.data.size)).reshape(-1)
    return accumulate(a.shifted(-a_zero_point), rows, repeated, INT32)


def _product_bounds(a: Interval, b: Interval, bias: Interval) -> Bound:
    """The bound for two activations, both already centred."""
    depth = a.dims[-1]
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = min(bias.low, 0) + depth * min(0, *ends), max(bias.high, 0) + depth * max(0, *ends)
    partial = Interval(low=low, high=high)
    fits(partial, INT32, "the accumulator")
    return Bound(output=partial, accumulator=partial)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Vectors, odd sizes, batches of activations; zero points at both ends."""
    for left, right, za, zb in (
        ((1, 64), (64, 10), -128, 0),
        ((2, 5, 17), (17, 33), 127, 0),
        ((2, 3, 7), (2, 7, 5), 3, -5),
    ):
        b = np.maximum(spread(rng, np.int8, right), -127)
        inputs = (spread(rng, np.int8, left), b, spread(rng, np.int32, right[-1:]) >> 4)
        yield Sample(inputs=inputs, attributes={"a_zero_point": za, "b_zero_point": zb})
    unsigned = (
        spread(rng, np.uint8, (4, 24)),
        np.maximum(spread(rng, np.int8, (24, 16)), -127),
        np.zeros(16, np.int32),
    )
    yield Sample(inputs=unsigned, attributes={"a_zero_point": 255, "b_zero_point": 0})


MATMUL = Op(name="MatMul", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
