"""MaskedMatMul: rows times the two halves of one matrix, for every mask that halves it; the weights are stored once.

    total[..., j] = sum over k of (x[..., k] - x_zero_point) * weight[k, j]
    first[..., i, j] = sum over the k that mask i has at j of the same products
    y[..., i, 0, j] = first[..., i, j] + bias[i, 0, j]
    y[..., i, 1, j] = total[..., j] - first[..., i, j] + bias[i, 1, j]

The second half is a difference of integers, so it is exact.

Source: "Masked Gated Linear Unit", arXiv 2506.23225, section 4: one pass over the weights sums both streams, and the
value stream is ``t - s_i``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import constants, product
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
MaskedMatMul <x_zero_point> (x, weight, masks, bias) => (y) {
    zero = Constant <value_int: int = 0> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    last = Constant <value_ints: ints = [-1]> ()
    powers = Constant <value_ints: ints = [1, 2, 4, 8, 16, 32, 64, 128]> ()
    depth = Shape <start: int = 0, end: int = 1> (weight)
    width = Shape <start: int = 1, end: int = 2> (weight)
    count = Shape <start: int = 0, end: int = 1> (masks)
    bytes = Cast <to: int = 7> (masks)
    each = Unsqueeze (bytes, last)
    shifted = Div (each, powers)
    single = Mod (shifted, two)
    bits_dims = Concat <axis: int = 0> (count, depth, last)
    padded = Reshape (single, bits_dims)
    none = Constant <value_ints: ints = [0]> ()
    bits = Slice (padded, none, width, last)
    w = Cast <to: int = 7> (weight)
    parts = Mul (bits, w)
    zero_point = Constant <value_int: int = @x_zero_point> ()
    wide = Cast <to: int = 7> (x)
    centred = Sub (wide, zero_point)
    flat_dims = Concat <axis: int = 0> (last, depth)
    rows = Reshape (centred, flat_dims)
    total = MatMul (rows, w)
    first = MatMul (rows, parts)
    second = Sub (total, first)
    halves_axis = Constant <value_ints: ints = [1]> ()
    left = Unsqueeze (first, halves_axis)
    right = Unsqueeze (second, halves_axis)
    both = Concat <axis: int = 1> (left, right)
    ordered = Transpose <perm: ints = [2, 0, 1, 3]> (both)
    lead = Shape <start: int = 0, end: int = -1> (x)
    dims = Concat <axis: int = 0> (lead, last)
    sums = Reshape (ordered, dims)
    typed = CastLike (sums, bias)
    y = Add (typed, bias)
}
"""


def unpacked(masks: Array, columns: int) -> Array:
    """Bools [m, K, N] of masks as uint8 [m, K, ceil(N / 8)]: bit ``j % 8`` of byte ``j // 8`` is column ``j``."""
    return np.unpackbits(masks, axis=-1, count=columns, bitorder="little").astype(bool)


def packed(masks: Array) -> Array:
    """The opposite of :func:`unpacked`."""
    return np.packbits(masks, axis=-1, bitorder="little")


def halves(weight: Array, masks: Array) -> Array:
    """Every half, [m, 2, K, N]: what a mask has, and what it has not."""
    bits = unpacked(masks, weight.shape[1])
    return np.stack([np.where(bits, weight, 0), np.where(bits, 0, weight)], 1)


def reference(x: Array, weight: Array, masks: Array, bias: Array, *, x_zero_point: int) -> Array:
    """Multiply.

    Args:
        x: int8, uint8 or int16 [..., K].
        weight: int8 [K, N].
        masks: uint8 [m, K, ceil(N / 8)], a bit for each weight.
        bias: int32 [2 * m * N], or int64 where ``x`` is int16; by mask, half, column.
        x_zero_point: Stored value of real zero in ``x``; 0 for int16.

    Returns:
        The dtype of ``bias``, [..., 2 * m * N].
    """
    columns = halves(weight, masks).transpose(2, 0, 1, 3).reshape(len(weight), -1)
    return product(x.astype(bias.dtype) - bias.dtype.type(x_zero_point), columns.astype(bias.dtype)) + bias


def lower(x: Any, weight: Any, masks: Any, bias: Any, *, x_zero_point: int) -> Any:
    """The portable TE form: a sum of everything, and one for each mask."""
    from tvm import te, tirx

    (*lead, depth), (_, n), kind = (int(d) for d in x.shape), (int(d) for d in weight.shape), str(bias.dtype)
    count = int(masks.shape[0])
    k, each = te.reduce_axis((0, depth), name="k"), te.reduce_axis((0, depth), name="each")

    def product(row: tuple[Any, ...], at: Any, j: Any) -> Any:
        return (x(*row, at).astype(kind) - tirx.const(x_zero_point, kind)) * weight(at, j).astype(kind)

    def of_mask(*index: Any) -> Any:
        *row, i, j = index
        bit = (masks(i, each, j // 8).astype("int32") >> (j % 8)) & 1
        return te.sum(product(tuple(row), each, j) * bit.astype(kind), axis=each)

    total = te.compute((*lead, n), lambda *i: te.sum(product(i[:-1], k, i[-1]), axis=k), name="total")
    first = te.compute((*lead, count, n), of_mask, name="first")

    def half(*index: Any) -> Any:
        *row, place = index
        i, j = place // (2 * n), place % n
        part = first(*row, i, j)
        return tirx.Select(place % (2 * n) < n, part, total(*row, j) - part) + bias(place)

    return te.compute((*lead, 2 * count * n), half, name="y")


def bounds(x: Interval, weight: Interval, masks: Interval, bias: Interval, *, x_zero_point: int) -> Bound:
    """Every partial sum fits: of the whole matrix, and of each half."""
    w, start = constants(weight, bias)
    if masks.data is None:
        raise OverflowError("the masks must be constants")
    bits = INT48 if start.dtype == np.int64 else INT32
    centred = x.shifted(-x_zero_point)
    rise, fall = _weights(w, masks.data)
    begin = np.concatenate([start.astype(np.int64), np.zeros(w.shape[1], np.int64)])
    most, least = max(centred.high, 0), min(centred.low, 0)
    above = rise * most - fall * least + np.maximum(begin, 0)
    below = rise * least - fall * most + np.minimum(begin, 0)
    partial = Interval(low=int(below.min()), high=int(above.max()))
    fits(partial, bits, "the accumulator")
    ends = rise * centred.low - fall * centred.high, rise * centred.high - fall * centred.low
    sums = (np.stack(ends) + begin)[:, : len(start)]
    output = Interval(low=int(sums[0].min()), high=int(sums[1].max()), channels=sums)
    return Bound(output=output, accumulator=partial, bits=bits)


def _weights(weight: Array, masks: Array) -> tuple[Array, Array]:
    """Sums of the positive weights, and of the others without their sign, of each column of each half and the whole.

    Over x in [l, h] the greatest sum of a column is ``positive * h - negative * l``, and it is reached.
    """
    bits = unpacked(masks, weight.shape[1])
    rise, fall = [], []
    for kept in (*(half for mask in bits for half in (mask, ~mask)), np.ones_like(weight, bool)):
        rise.append(np.where(kept & (weight > 0), weight, 0).sum(0, dtype=np.int64))
        fall.append(-np.where(kept & (weight < 0), weight, 0).sum(0, dtype=np.int64))
    return np.concatenate(rise), np.concatenate(fall)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """One mask and several, columns that fill no byte, masks of all and of nothing, both widths of accumulators."""
    plan = (((1, 64), 10, 1, -128), ((2, 3, 17), 33, 2, 127), ((4, 24), 16, 4, 3), ((5, 1), 8, 3, -7))
    for kind in (np.int8, np.uint8, np.int16):
        for dims, columns, count, zero in plan:
            masks = rng.integers(0, 2, (count, dims[-1], columns)).astype(bool)
            masks[-1, :, :2] = [True, False]
            weight = np.maximum(spread(rng, np.int8, (dims[-1], columns)), -127)
            bias = spread(rng, np.int32, (2 * count * columns,)) >> 4
            zero_point = {np.int8: zero, np.uint8: zero + 128, np.int16: 0}[kind]
            wide = bias.astype(np.int64) << 8 if kind is np.int16 else bias
            inputs = (spread(rng, kind, dims), weight, packed(masks), wide)
            yield Sample(inputs=inputs, attributes={"x_zero_point": zero_point})


MASKED_MATMUL = Op(
    name="MaskedMatMul", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples
)  # fmt: skip
