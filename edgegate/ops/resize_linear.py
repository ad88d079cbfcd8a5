"""ResizeLinear: two rows and two columns per output pixel, weighted by integers, summed in int32; channels last.

    y[n, i, j, c] = sum over (p, q) of row_weights[i, p] * column_weights[j, q]
                    * (x[n, rows[i, p], columns[j, q], c] - input_zero_point)

A Rescale by one over the product of the weights' sums follows. Nearest resizing needs no op: it is two Gathers.
Source: TOSA 1.0.1, RESIZE (bilinear), with the sampled positions and weights as constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
ResizeLinear <input_zero_point> (x, rows, row_weights, columns, column_weights) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = Cast <to: int = 6> (zero)
    wide = Cast <to: int = 6> (x)
    centred = Sub (wide, zero_point)
    outer = Constant <value_ints: ints = [2, 3]> ()
    inner = Constant <value_ints: ints = [2]> ()
    pairs_down = Gather <axis: int = 1> (centred, rows)
    down_weights = Unsqueeze (row_weights, outer)
    weighted_down = Mul (pairs_down, down_weights)
    two = Constant <value_ints: ints = [2]> ()
    down = ReduceSum <keepdims: int = 0> (weighted_down, two)
    pairs_across = Gather <axis: int = 2> (down, columns)
    across_weights = Unsqueeze (column_weights, inner)
    weighted_across = Mul (pairs_across, across_weights)
    three = Constant <value_ints: ints = [3]> ()
    y = ReduceSum <keepdims: int = 0> (weighted_across, three)
}
"""


def reference(
    x: Array, rows: Array, row_weights: Array, columns: Array, column_weights: Array, *, input_zero_point: int
) -> Array:
    """Resize.

    Args:
        x: int8 or uint8 [N, H, W, C].
        rows: int32 [OH, 2]: the two source rows of each output row.
        row_weights: int32 [OH, 2].
        columns: int32 [OW, 2].
        column_weights: int32 [OW, 2].
        input_zero_point: Stored value of real zero.

    Returns:
        int32 [N, OH, OW, C].
    """
    centred = x.astype(np.int32) - np.int32(input_zero_point)
    down = (centred[:, rows] * row_weights[None, :, :, None, None]).sum(axis=2, dtype=np.int32)
    return (down[:, :, columns] * column_weights[None, None, :, :, None]).sum(axis=3, dtype=np.int32)


def lower(x: Any, rows: Any, row_weights: Any, columns: Any, column_weights: Any, *, input_zero_point: int) -> Any:
    """The portable TE form."""
    from tvm import te

    n, _, _, c = x.shape

    def element(i: Any, y: Any, z: Any, k: Any) -> Any:
        terms = [
            row_weights(y, p) * column_weights(z, q)
            * (x(i, rows(y, p), columns(z, q), k).astype("int32") - input_zero_point)
            for p in (0, 1) for q in (0, 1)
        ]  # fmt: skip
        return terms[0] + terms[1] + terms[2] + terms[3]

    return te.compute((n, rows.shape[0], columns.shape[0], c), element, name="y")


def bounds(
    x: Interval, rows: Interval, row_weights: Interval, columns: Interval, column_weights: Interval, *,
    input_zero_point: int,
) -> Bound:  # fmt: skip
    """Weights are constants and not negative; the sum fits int32."""
    if row_weights.data is None or column_weights.data is None or row_weights.low < 0 or column_weights.low < 0:
        raise OverflowError("weights must be constants of zero or more")
    most = int(row_weights.data.sum(1).max()) * int(column_weights.data.sum(1).max())
    centred = x.shifted(-input_zero_point)
    sums = Interval(low=most * min(centred.low, 0), high=most * max(centred.high, 0))
    fits(sums, 32, "the sum")
    return Bound(output=sums, accumulator=sums)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Random positions and weights; zero points at both ends."""
    for zero_point in (-128, 127, 4):
        x = spread(rng, np.int8, (2, 5, 4, 6))
        rows, columns = rng.integers(0, 5, (9, 2)), rng.integers(0, 4, (8, 2))
        weights = rng.integers(0, 65, (9, 2)), rng.integers(0, 65, (8, 2))
        inputs = (x, *(v.astype(np.int32) for v in (rows, weights[0], columns, weights[1])))
        yield Sample(inputs=inputs, attributes={"input_zero_point": zero_point})


RESIZE_LINEAR = Op(name="ResizeLinear", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
