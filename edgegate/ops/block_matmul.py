"""BlockMatMul: rows in block floating point times int8 columns with a scale for each block, summed in 48 bits.

    y[..., i, j] = bias[j] + sum over q of ((sum over k in block q of a[..., i, k] * b[k, j]) << e[..., i, q]) * s[q, j]

Block q is the q-th stretch of K; e are the exponents of ``BlockQuantize``, s the scales of the weights as integers
over one unit. The sum of a block fits int32; what is added up is counted as 48 bits and held in int64.

Source: OCP Microscaling Formats 1.0, section 6.2 (DotGeneral); TOSA 1.0.1, MATMUL, for the widths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._blocks import cut, whole
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
BlockMatMul <block> (a, a_exponents, b, b_scales, bias) => (y) {
    none = Constant <value_int: int = 0> ()
    two = Constant <value_int: int = 2> ()
    rest = Constant <value_ints: ints = [-1]> ()
    size = Constant <value_int: int = @block> ()
    deep = Unsqueeze (size, none)
    count = Shape <end: int = 1> (b_scales)
    wide = Shape <start: int = 1> (b)
    rows_dims = Concat <axis: int = 0> (rest, count, deep)
    rows = Reshape (a, rows_dims)
    rows_by_block = Transpose <perm: ints = [1, 0, 2]> (rows)
    columns_dims = Concat <axis: int = 0> (count, deep, wide)
    columns = Reshape (b, columns_dims)
    acc = MatMulInteger (rows_by_block, columns)
    acc64 = Cast <to: int = 7> (acc)
    shifts_dims = Concat <axis: int = 0> (rest, count)
    shifts = Reshape (a_exponents, shifts_dims)
    by_block = Transpose <perm: ints = [1, 0]> (shifts)
    each = Unsqueeze (by_block, rest)
    bits = Cast <to: int = 7> (each)
    power = Pow (two, bits)
    raised = Mul (acc64, power)
    axis = Constant <value_ints: ints = [1]> ()
    scales = Unsqueeze (b_scales, axis)
    factor = Cast <to: int = 7> (scales)
    scaled = Mul (raised, factor)
    first = Constant <value_ints: ints = [0]> ()
    total = ReduceSum <keepdims: int = 0> (scaled, first)
    sum = Add (total, bias)
    lead = Shape <end: int = -1> (a)
    all = Concat <axis: int = 0> (lead, wide)
    y = Reshape (sum, all)
}
"""
MOST = 40
"""The greatest exponent."""


def reference(a: Array, a_exponents: Array, b: Array, b_scales: Array, bias: Array, *, block: int) -> Array:
    """Multiply.

    Args:
        a: int8 [..., M, K], significands.
        a_exponents: int8 [..., M, n] in [0, 40], n = K / block.
        b: int8 [K, N].
        b_scales: int32 [n, N], positive.
        bias: int64 [N].
        block: Elements of K that share an exponent and a scale.

    Returns:
        int64 [..., M, N].
    """
    rows, columns = cut(a.astype(np.int32), block), b.astype(np.int32).reshape(-1, block, b.shape[-1])
    sums = np.einsum("...qk,qkj->...qj", rows, columns).astype(np.int64)
    return ((sums << a_exponents.astype(np.int64)[..., None]) * b_scales).sum(-2) + bias


def lower(a: Any, a_exponents: Any, b: Any, b_scales: Any, bias: Any, *, block: int) -> Any:
    """The portable TE form: the sums of the blocks, then of the row."""
    from tvm import te

    (*lead, _), (count, n) = (int(d) for d in a.shape), (int(d) for d in b_scales.shape)
    k, q = te.reduce_axis((0, block), name="k"), te.reduce_axis((0, count), name="q")

    def of_block(*index: Any) -> Any:
        *row, i, j = index
        return te.sum(a(*row, i * block + k).astype("int32") * b(i * block + k, j).astype("int32"), axis=k)

    def of_row(*index: Any) -> Any:
        *row, j = index
        raised = acc(*row, q, j).astype("int64") << a_exponents(*row, q).astype("int64")
        return te.sum(raised * b_scales(q, j).astype("int64"), axis=q)

    acc = te.compute((*lead, count, n), of_block, name="acc")
    total = te.compute((*lead, n), of_row, name="total")
    return te.compute((*lead, n), lambda *i: total(*i) + bias(i[-1]), name="y")


def bounds(
    a: Interval, a_exponents: Interval, b: Interval, b_scales: Interval, bias: Interval, *, block: int
) -> Bound:  # fmt: skip
    """Every partial sum, of any products of a block or of any blocks, fits its width."""
    weights, scales, start = _constants(b, b_scales, bias)
    whole(a, block)
    if a_exponents.low < 0 or a_exponents.high > MOST:
        raise OverflowError(f"the exponents reach [{a_exponents.low}, {a_exponents.high}], outside [0, {MOST}]")
    if scales.size and scales.min() <= 0:
        raise OverflowError(f"a scale is {scales.min()}, not positive")
    columns = weights.astype(np.int64).reshape(-1, block, weights.shape[-1])
    if columns.shape[::2] != scales.shape:
        raise OverflowError(f"scales of {scales.shape} do not fit {columns.shape[::2]} blocks by columns")
    most, least = np.maximum(columns * a.low, columns * a.high), np.minimum(columns * a.low, columns * a.high)
    above, below = np.maximum(most, 0).sum(1), np.minimum(least, 0).sum(1)
    fits(Interval(low=int(below.min(initial=0)), high=int(above.max(initial=0))), INT32, "the accumulator of a block")
    sums = most.sum(1), least.sum(1)
    zeros = np.zeros_like(start)
    partial = _totals(above, below, scales, np.maximum(start, zeros), np.minimum(start, zeros), a_exponents)
    fits(partial, INT48, "the accumulator")
    return Bound(
        output=_totals(*sums, scales, start, start, a_exponents),
        accumulator=Interval(low=min(partial.low, 0), high=max(partial.high, 0)),
        bits=INT48,
    )


def _constants(*inputs: Interval) -> list[Array]:
    """The weights, their scales and the bias."""
    arrays = [i.data for i in inputs if i.data is not None]
    if len(arrays) != len(inputs):
        raise OverflowError("weights, scales and bias must be constants")
    return arrays


def _totals(most: Array, least: Array, scales: Array, above: Array, below: Array, exponents: Interval) -> Interval:
    """Ends of the sums over blocks, each block between ``least`` and ``most`` [n, N] before its shift and scale.

    What is positive is greatest with the greatest shift and least with the least one. Significands and exponents are
    bounded apart, so the ends are up to twice too far out, no more: what has the greatest exponent is at least
    ``2**top`` steps long, and a significand is below ``2**(top + 1)``. The weights count as they are, not as 127.
    """
    up, down = exponents.high, exponents.low
    highs = zip(_dots(np.maximum(most, 0), scales), _dots(np.minimum(most, 0), scales), above.tolist(), strict=True)
    lows = zip(_dots(np.maximum(least, 0), scales), _dots(np.minimum(least, 0), scales), below.tolist(), strict=True)
    high = max(((p << up) + (m << down) + start for p, m, start in highs), default=0)
    low = min(((p << down) + (m << up) + start for p, m, start in lows), default=0)
    return Interval(low=low, high=high)


def _dots(sums: Array, scales: Array) -> list[int]:
    """The columns' sums of int32 times int32, as Python integers: int64 would not hold all."""
    halves = (scales & 0xFFFF, scales >> 16)
    low, high = ((sums * half.astype(np.int64)).sum(0).tolist() for half in halves)
    return [(h << 16) + part for h, part in zip(high, low, strict=True)]


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """A vector and batches; blocks of 1 to 32; great exponents beside small ones, blocks of zeros."""
    for lead, depth, block, n in (((1,), 64, 32, 10), ((2, 5), 48, 16, 33), ((3,), 8, 8, 40), ((2, 3), 7, 1, 5)):
        a, b = spread(rng, np.int8, (*lead, depth)), spread(rng, np.int8, (depth, n))
        a.reshape(-1, block)[1::3] = 0
        exponents = rng.integers(0, 13, (*lead, depth // block)).astype(np.int8)
        scales = rng.integers(1, 1 << rng.integers(1, 11, (depth // block, n))).astype(np.int32)
        inputs = (a, exponents, b, scales, spread(rng, np.int64, (n,)) >> 20)
        yield Sample(inputs=inputs, attributes={"block": block})


BLOCK_MATMUL = Op(name="BlockMatMul", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
