"""Conv1d: a convolution over time, int8 to int32; channels last. Causal when all padding is on the left.

The formula is that of Conv2d with one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, constants, reach_of
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample
from edgegate.ops.conv2d import compute, convolve

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Conv1d <pads, stride, dilation, group, input_zero_point> (x, weight, bias) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = CastLike (zero, x)
    rows = Transpose <perm: ints = [0, 2, 1]> (x)
    kernel = Transpose <perm: ints = [0, 2, 1]> (weight)
    acc = ConvInteger <pads: ints = @pads, strides: ints = @stride, dilations: ints = @dilation,
        group: int = @group> (rows, kernel, zero_point)
    steps = Transpose <perm: ints = [0, 2, 1]> (acc)
    y = Add (steps, bias)
}
"""


def reference(
    x: Array, weight: Array, bias: Array, *, pads: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
    group: int, input_zero_point: int,
) -> Array:  # fmt: skip
    """Convolve over time.

    Args:
        x: int8 or uint8 [N, T, C].
        weight: int8 [O, K, C / group], never -128.
        bias: int32 [O].
        pads: Left, right.
        stride: One number in a list, as ONNX has it.
        dilation: One number in a list.
        group: Groups of channels.
        input_zero_point: Stored value of real zero; also what the padding holds.

    Returns:
        int32 [N, T', O].
    """
    plane = _plane(pads, stride, dilation)
    return convolve(x[:, None], weight[:, None], bias, np.int32, *plane, group, input_zero_point)[:, 0]


def _plane(
    pads: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Pads, strides and dilations of the same convolution over one row."""
    return [0, pads[0], 0, pads[1]], [1, stride[0]], [1, dilation[0]]


def lower(
    x: Any, weight: Any, bias: Any, *, pads: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
    group: int, input_zero_point: int,
) -> Any:  # fmt: skip
    """The portable TE form."""
    from tvm import te

    def row(t: Any) -> Any:
        n, k, c = t.shape
        return te.compute((n, 1, k, c), lambda i, _, j, q: t(i, j, q), name="row")

    plane = _plane(pads, stride, dilation)
    y = compute(row(x), row(weight), bias, "int32", *plane, group, input_zero_point)
    n, _, steps, outputs = y.shape
    return te.compute((n, steps, outputs), lambda i, t, o: y(i, 0, t, o))


def bounds(
    x: Interval, weight: Interval, bias: Interval, *, pads: Sequence[int], stride: Sequence[int],
    dilation: Sequence[int], group: int, input_zero_point: int,
) -> Bound:  # fmt: skip
    """Every partial sum fits int32."""
    w, b = constants(weight, bias)
    return accumulate(reach_of(x, input_zero_point, pads), w.reshape(len(w), -1), b, INT32)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Causal, dilated, strided and depthwise."""
    cases: tuple[tuple[tuple[int, ...], tuple[int, int], int, list[int], int, int], ...] = (
        ((1, 12, 6), (8, 3), 1, [4, 0], 1, 2),
        ((2, 9, 8), (8, 4), 8, [3, 0], 1, 1),
        ((1, 11, 4), (6, 3), 2, [1, 1], 2, 1),
    )
    for dims, (outputs, k), group, pads, stride, dilation in cases:
        weight = np.maximum(spread(rng, np.int8, (outputs, k, dims[2] // group)), -127)
        inputs = (spread(rng, np.int8, dims), weight, spread(rng, np.int32, (outputs,)) >> 4)
        attributes = {"pads": pads, "stride": [stride], "dilation": [dilation], "group": group, "input_zero_point": -7}
        yield Sample(inputs=inputs, attributes=attributes)


CONV1D = Op(name="Conv1d", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
