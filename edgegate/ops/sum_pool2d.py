"""SumPool2d: the sum of each window in int32; channels last. A Rescale by one over the count makes the mean.

    y[n, i, j, c] = sum over (u, v) of (x[n, i*sy + u - top, j*sx + v - left, c] - input_zero_point)

Positions in the padding contribute zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import output_size, padded, reach_of, windows
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

# A depthwise convolution with ones, as channels in the batch.
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
SumPool2d <kernel, pads, strides, input_zero_point> (x) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = CastLike (zero, x)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (x)
    size = Shape <start: int = 2> (planes)
    channels = Shape <end: int = 2> (planes)
    lead = Constant <value_ints: ints = [-1, 1]> ()
    dims = Concat <axis: int = 0> (lead, size)
    flat = Reshape (planes, dims)
    unit = Constant <value_ints: ints = [1, 1]> ()
    reach = Constant <value_ints: ints = @kernel> ()
    window = Concat <axis: int = 0> (unit, reach)
    ones = ConstantOfShape (window)
    zeros8 = Cast <to: int = 3> (ones)
    one = Constant <value_int: int = 1> ()
    one8 = Cast <to: int = 3> (one)
    kernels = Max (zeros8, one8)
    acc = ConvInteger <pads: ints = @pads, strides: ints = @strides> (flat, kernels, zero_point)
    out_size = Shape <start: int = 2> (acc)
    out_dims = Concat <axis: int = 0> (channels, out_size)
    sums = Reshape (acc, out_dims)
    y = Transpose <perm: ints = [0, 2, 3, 1]> (sums)
}
"""


def reference(
    x: Array, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], input_zero_point: int
) -> Array:
    """Sum the windows of int8 or uint8 [N, H, W, C] into int32; ``pads`` are top, left, bottom, right."""
    centred = x.astype(np.int32) - np.int32(input_zero_point)
    return windows(centred, kernel, pads, strides, (1, 1), 0).sum(axis=(3, 4), dtype=np.int32)


def lower(x: Any, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], input_zero_point: int) -> Any:
    """The portable TE form."""
    from tvm import te

    n, h, w, c = (int(d) for d in x.shape)
    around = padded(x, pads, input_zero_point, "int32")
    oh = output_size(h, kernel[0], pads[0], pads[2], strides[0], 1)
    ow = output_size(w, kernel[1], pads[1], pads[3], strides[1], 1)
    u, v = te.reduce_axis((0, kernel[0]), name="u"), te.reduce_axis((0, kernel[1]), name="v")

    def element(i: Any, y: Any, z: Any, k: Any) -> Any:
        return te.sum(around(i, y * strides[0] + u, z * strides[1] + v, k), axis=[u, v])

    return te.compute((n, oh, ow, c), element, name="y")


def bounds(
    x: Interval, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], input_zero_point: int
) -> Bound:
    """Every partial sum fits int32."""
    centred, count = reach_of(x, input_zero_point, pads), kernel[0] * kernel[1]
    partial = Interval(low=count * min(centred.low, 0), high=count * max(centred.high, 0))
    fits(partial, 32, "the sum")
    return Bound(output=Interval(low=count * centred.low, high=count * centred.high), accumulator=partial)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Overlapping and strided windows, zero points at both ends."""
    plain = {"kernel": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2], "input_zero_point": 127}
    same = {"kernel": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 1], "input_zero_point": -128}
    for attributes in (plain, same):
        yield Sample(inputs=(spread(rng, np.int8, (2, 8, 9, 5)),), attributes=attributes)


SUM_POOL2D = Op(name="SumPool2d", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
