"""BlockTransform: every block of the last axis times an integer matrix of its own, summed in int32.

    y[..., i, r] = sum over c of matrices[i, r, c] * (x[..., i, c] - input_zero_point)

for block i. The rows' scales are powers of two and belong to what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._blocks import cut
from edgegate.ops._contraction import accumulate
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
BlockTransform <input_zero_point> (x, matrices) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = Cast <to: int = 6> (zero)
    x32 = Cast <to: int = 6> (x)
    centred = Sub (x32, zero_point)
    lead = Shape <end: int = -1> (x)
    size = Shape <end: int = 2> (matrices)
    one = Constant <value_ints: ints = [1]> ()
    dims = Concat <axis: int = 0> (lead, size, one)
    columns = Reshape (centred, dims)
    wide = Cast <to: int = 6> (matrices)
    turned = MatMul (wide, columns)
    all = Shape (x)
    y = Reshape (turned, all)
}
"""


def reference(x: Array, matrices: Array, *, input_zero_point: int) -> Array:
    """Transform int8, uint8 or int16 [..., n * d] by int8 or int16 matrices [n, d, d] into int32 [..., n * d]."""
    blocks = cut(x.astype(np.int32) - np.int32(input_zero_point), matrices.shape[-1])
    return (matrices.astype(np.int32) @ blocks[..., None]).reshape(x.shape)


def lower(x: Any, matrices: Any, *, input_zero_point: int) -> Any:
    """The portable TE form."""
    from tvm import te, tirx

    dims, (n, d, _) = tuple(int(v) for v in x.shape), (int(v) for v in matrices.shape)
    c = te.reduce_axis((0, d), name="c")

    def element(*index: Any) -> Any:
        *lead, i, r = index
        value = x(*lead, i * d + c).astype("int32") - tirx.const(input_zero_point, "int32")
        return te.sum(matrices(i, r, c).astype("int32") * value, axis=c)

    acc = te.compute((*dims[:-1], n, d), element, name="acc")
    return te.compute(dims, lambda *i: acc(*i[:-1], i[-1] // d, i[-1] % d), name="y")


def bounds(x: Interval, matrices: Interval, *, input_zero_point: int) -> Bound:
    """Every partial sum fits int32."""
    if matrices.data is None:
        raise OverflowError("the matrices must be constants")
    n, d, columns = matrices.data.shape
    if d != columns or n * d != x.dims[-1]:
        raise OverflowError(f"{n} matrices of {d} x {columns} do not transform {x.dims[-1]} channels")
    return accumulate(x.shifted(-input_zero_point), matrices.data.reshape(n * d, d), np.zeros(n * d, np.int64), INT32)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """All types of inputs and matrices; a block of one; matrices of extremes."""
    kinds = ((np.int8, np.int8, (2, 5, 64), 32, 3), (np.int16, np.int8, (3, 24), 8, 0),
             (np.uint8, np.int16, (1, 32), 16, 255), (np.int8, np.int16, (2, 3, 5), 1, -128))  # fmt: skip
    for dtype, kind, dims, d, zero_point in kinds:
        matrices = spread(rng, kind, (dims[-1] // d, d, d))
        yield Sample(inputs=(spread(rng, dtype, dims), matrices), attributes={"input_zero_point": zero_point})


BLOCK_TRANSFORM = Op(name="BlockTransform", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
