"""Hadamard: the unnormalised Walsh-Hadamard transform of every block of the last axis, in int32.

    y[..., i, r] = sum over c of (-1)**popcount(r & c) * (x[..., i, c] - input_zero_point)

for block i, in natural (Sylvester) order: log2(block) stages of additions, and log2(block) bits of growth. The
factor 1 / block of the inverse belongs to what follows.

Source: Beauchamp, Applications of Walsh and Related Functions (1984), section 3; Pease, JACM 15(2), 1968, for the
form with the same geometry in every stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._blocks import cut, whole
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

# The matrix is made from its definition: the parity of the bits that row and column have in common.
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Hadamard <block, input_zero_point> (x) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = Cast <to: int = 6> (zero)
    x32 = Cast <to: int = 6> (x)
    centred = Sub (x32, zero_point)
    first = Constant <value_int: int = 0> ()
    size = Constant <value_int: int = @block> ()
    step = Constant <value_int: int = 1> ()
    axis = Constant <value_ints: ints = [1]> ()
    last = Constant <value_ints: ints = [-1]> ()
    row = Range (first, size, step)
    column = Unsqueeze (row, axis)
    common = BitwiseAnd (row, column)
    each = Unsqueeze (common, last)
    bits = Constant <value_ints: ints = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]> ()
    met = BitwiseAnd (each, bits)
    digits = Div (met, bits)
    ones = ReduceSum <keepdims: int = 0> (digits, last)
    two = Constant <value_int: int = 2> ()
    odd = Mod (ones, two)
    twice = Mul (odd, two)
    sign = Sub (step, twice)
    matrix = Cast <to: int = 6> (sign)
    lead = Shape <end: int = -1> (x)
    size1 = Unsqueeze (size, first)
    dims = Concat <axis: int = 0> (lead, last, size1)
    blocks = Reshape (centred, dims)
    turned = MatMul (blocks, matrix)
    all = Shape (x)
    y = Reshape (turned, all)
}
"""
LARGEST = 1 << 15
"""The largest block."""


def reference(x: Array, *, block: int, input_zero_point: int) -> Array:
    """Transform int8, uint8 or int16 [..., K], K a multiple of ``block`` (a power of two), into int32 [..., K]."""
    y = cut(x.astype(np.int32) - np.int32(input_zero_point), block)
    half = 1
    while half < block:
        pairs = y.reshape(*y.shape[:-1], block // (2 * half), 2, half)
        a, b = pairs[..., 0, :], pairs[..., 1, :]
        y, half = np.stack([a + b, a - b], -2).reshape(y.shape), 2 * half
    return y.reshape(x.shape)


def lower(x: Any, *, block: int, input_zero_point: int) -> Any:
    """The portable TE form: in every stage the sums of neighbours, then their differences, over the whole axis.

    Long loops are what LLVM makes vectors of. Each stage moves the lowest bit of an element's place to the top, so
    after the last one the places in a block lead and the number of the block is behind.
    """
    from tvm import te, tirx

    (*lead, width), zero = (int(d) for d in x.shape), tirx.const(input_zero_point, "int32")
    half, count = width // 2, width // block

    def stage(y: Any) -> Any:
        def element(*index: Any) -> Any:
            *row, difference, j = index
            a, b = y(*row, 2 * j), y(*row, 2 * j + 1)
            return tirx.Select(difference.equal(0), a + b, a - b)

        halves = te.compute((*lead, 2, half), element, name="halves")
        return lambda *index: halves(*index[:-1], index[-1] // half, index[-1] % half)

    y: Any = te.compute((*lead, width), lambda *i: x(*i).astype("int32") - zero, name="centred")
    for _ in range(block.bit_length() - 1):
        y = stage(y)
    return te.compute((*lead, width), lambda *i: y(*i[:-1], i[-1] % block * count + i[-1] // block), name="y")


def bounds(x: Interval, *, block: int, input_zero_point: int) -> Bound:
    """Every result, and every partial sum, is at most ``block`` times the greatest magnitude."""
    if block & (block - 1) or not 0 < block <= LARGEST:
        raise OverflowError(f"the block of a Hadamard transform is a power of two up to {LARGEST}, not {block}")
    whole(x, block)
    centred = x.shifted(-input_zero_point)
    most = block * max(-centred.low, centred.high)
    partial = Interval(low=-most, high=most)
    fits(partial, 32, "the sum")
    return Bound(output=partial, accumulator=partial)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All input types, blocks of 1 to 256, the extremes in every place of a block."""
    kinds = ((np.int8, (2, 3, 64), 32, -128), (np.uint8, (5, 12), 4, 255), (np.int16, (1, 512), 256, 0),
             (np.int8, (7,), 1, 5), (np.int8, (3, 6), 2, 127))  # fmt: skip
    for dtype, dims, block, zero_point in kinds:
        yield Sample(inputs=(spread(rng, dtype, dims),), attributes={"block": block, "input_zero_point": zero_point})
    rows = reference(np.eye(16, dtype=np.int8), block=16, input_zero_point=0)
    info = np.iinfo(np.int8)
    ends = np.where(rows > 0, info.max, info.min).astype(np.int8)
    yield Sample(inputs=(np.concatenate([ends, ~ends]),), attributes={"block": 16, "input_zero_point": 0})


HADAMARD = Op(name="Hadamard", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
