"""MatMul16: the product of two activations of up to 16 bits (or a state of 24), summed in 48 bits (held in int64).

    y[..., i, j] = sum over k of (a[..., i, k] - a_zero_point) * (b[..., k, j] - b_zero_point)

Source: TOSA 1.0.1, MATMUL (whose int16 form accumulates in 48 bits), with types that may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
MatMul16 <a_zero_point, b_zero_point> (a, b) => (y) {
    a_zero = Constant <value_int: int = @a_zero_point> ()
    b_zero = Constant <value_int: int = @b_zero_point> ()
    wide_a = Cast <to: int = 7> (a)
    wide_b = Cast <to: int = 7> (b)
    centred_a = Sub (wide_a, a_zero)
    centred_b = Sub (wide_b, b_zero)
    y = MatMul (centred_a, centred_b)
}
"""
MAGNITUDE = {"int8": 255, "uint8": 255, "int16": 1 << 15, "int32": 1 << 31}
"""What no centred value of a type passes: 16 bits and more have no zero point."""


def reference(a: Array, b: Array, *, a_zero_point: int, b_zero_point: int) -> Array:
    """Multiply.

    Args:
        a: int8, uint8, int16, or int32 (a state of 24 bits) [..., M, K].
        b: As ``a``, [..., K, N]; leading axes broadcast.
        a_zero_point: Stored value of real zero in ``a``.
        b_zero_point: The same of ``b``.

    Returns:
        int64 [..., M, N].
    """
    return np.matmul(a.astype(np.int64) - a_zero_point, b.astype(np.int64) - b_zero_point)


def lower(a: Any, b: Any, *, a_zero_point: int, b_zero_point: int) -> Any:
    """The portable TE form: sums in int32 where no sum of that many products passes it."""
    from tvm import te, tirx

    (*left, m, depth), (*right, _, n) = ([int(d) for d in t.shape] for t in (a, b))
    lead = np.broadcast_shapes(tuple(left), tuple(right))
    most = MAGNITUDE[str(a.dtype)] * MAGNITUDE[str(b.dtype)]
    factor = "int32" if most < 1 << 31 else "int64"
    kind = "int32" if most * depth < 1 << 31 else "int64"
    k = te.reduce_axis((0, depth), name="k")

    def at(t: Any, zero_point: int, dims: list[int], index: tuple[Any, ...], *last: Any) -> Any:
        picked = [0 if d == 1 else i for d, i in zip(dims, index[len(index) - len(dims) :], strict=True)]
        return t(*picked, *last).astype(factor) - tirx.const(zero_point, factor)

    def element(*index: Any) -> Any:
        *outer, i, j = index
        x, w = at(a, a_zero_point, left, tuple(outer), i, k), at(b, b_zero_point, right, tuple(outer), k, j)
        return te.sum((x * w).astype(kind), axis=k)

    sums = te.compute((*lead, m, n), element, name="sums")
    return sums if kind == "int64" else te.compute(sums.shape, lambda *i: sums(*i).astype("int64"), name="y")


def bounds(a: Interval, b: Interval, *, a_zero_point: int, b_zero_point: int) -> Bound:
    """Every partial sum fits 48 bits, and every product of 16-bit values 32."""
    left, right = a.shifted(-a_zero_point), b.shifted(-b_zero_point)
    ends = [x * y for x in (left.low, left.high) for y in (right.low, right.high)]
    if all(x.dtype is not None and x.dtype.itemsize < 4 for x in (a, b)):
        fits(Interval(low=min(ends), high=max(ends)), INT32, "a product")
    depth = a.dims[-1]
    partial = Interval(low=depth * min(0, *ends), high=depth * max(0, *ends))
    fits(partial, INT48, "the accumulator")
    return Bound(output=Interval(low=depth * min(ends), high=depth * max(ends)), accumulator=partial, bits=INT48)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Every pair of types, zero points at both ends, batches that broadcast, rows, columns and depth one."""
    shapes = (((2, 3, 7), (2, 7, 5)), ((3, 1, 4, 17), (2, 17, 6)), ((1, 9), (9, 8)), ((2, 5, 1), (2, 1, 5)))
    zeros = {np.int8: (-128, 127, 5), np.uint8: (0, 255, 9), np.int16: (0,)}
    for left, right in ((x, y) for x in zeros for y in zeros):
        for i, (first, second) in enumerate(shapes):
            pair = {
                "a_zero_point": zeros[left][i % len(zeros[left])],
                "b_zero_point": zeros[right][(i + 1) % len(zeros[right])],
            }
            yield Sample(inputs=(spread(rng, left, first), spread(rng, right, second)), attributes=pair)
    plain = {"a_zero_point": 0, "b_zero_point": 0}
    state = spread(rng, np.int32, (2, 6, 8)) >> 8
    yield Sample(inputs=(spread(rng, np.int16, (2, 3, 6)), state), attributes=plain)
    for depth, right in ((3, np.int16), (300, np.int16), (400, np.uint8)):  # sums that pass int32
        columns = spread(rng, right, (depth, 5))
        columns[:, :2] = np.iinfo(right).min, np.iinfo(right).max
        yield Sample(inputs=(np.full((2, depth), -32768, np.int16), columns), attributes=plain)


MATMUL16 = Op(name="MatMul16", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
