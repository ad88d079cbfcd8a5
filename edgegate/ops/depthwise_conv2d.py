"""DepthwiseConv2d: each channel convolved with its own kernels, summed in int32; channels last.

    y[n, i, j, c*M + m] = bias[c*M + m] + sum over (u, v) of
        (x[n, i*sy + u*dy - top, j*sx + v*dx - left, c] - input_zero_point) * weight[u, v, c, m]

Source: TOSA 1.0.1, DEPTHWISE_CONV2D.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, constants, output_size, padded, reach_of, windows
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample

# ConvInteger takes its group as an attribute, which a body cannot compute: hence the attribute here.
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
DepthwiseConv2d <pads, strides, dilations, group, input_zero_point> (x, weight, bias) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = CastLike (zero, x)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (x)
    first = Transpose <perm: ints = [2, 3, 0, 1]> (weight)
    size = Shape <start: int = 2> (first)
    lead = Constant <value_ints: ints = [-1, 1]> ()
    dims = Concat <axis: int = 0> (lead, size)
    kernel = Reshape (first, dims)
    acc = ConvInteger <pads: ints = @pads, strides: ints = @strides, dilations: ints = @dilations,
        group: int = @group> (planes, kernel, zero_point)
    pixels = Transpose <perm: ints = [0, 2, 3, 1]> (acc)
    y = Add (pixels, bias)
}
"""


def reference(
    x: Array, weight: Array, bias: Array, *, pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    group: int, input_zero_point: int,
) -> Array:  # fmt: skip
    """Convolve each channel.

    Args:
        x: int8 or uint8 [N, H, W, C].
        weight: int8 [KH, KW, C, M], never -128.
        bias: int32 [C * M].
        pads: Top, left, bottom, right.
        strides: Down and across.
        dilations: Down and across.
        group: C.
        input_zero_point: Stored value of real zero; also what the padding holds.

    Returns:
        int32 [N, OH, OW, C * M].
    """
    kh, kw, channels, multiple = weight.shape
    centred = x.astype(np.int32) - np.int32(input_zero_point)
    view = windows(centred, (kh, kw), pads, strides, dilations, 0)
    acc = np.einsum("nijuvc,uvcm->nijcm", view, weight.astype(np.int32))
    return acc.reshape(*acc.shape[:3], channels * multiple) + bias


def lower(
    x: Any, weight: Any, bias: Any, *, pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    group: int, input_zero_point: int,
) -> Any:  # fmt: skip
    """The portable TE form."""
    from tvm import te

    n, h, w, _ = (int(d) for d in x.shape)
    kh, kw, channels, multiple = (int(d) for d in weight.shape)
    around = padded(x, pads, input_zero_point, "int32")
    oh = output_size(h, kh, pads[0], pads[2], strides[0], dilations[0])
    ow = output_size(w, kw, pads[1], pads[3], strides[1], dilations[1])
    u, v = te.reduce_axis((0, kh), name="u"), te.reduce_axis((0, kw), name="v")

    def element(i: Any, y: Any, z: Any, o: Any) -> Any:
        row, column = y * strides[0] + u * dilations[0], z * strides[1] + v * dilations[1]
        tap = weight(u, v, o // multiple, o % multiple).astype("int32")
        return te.sum(around(i, row, column, o // multiple) * tap, axis=[u, v])

    dims = (n, oh, ow, channels * multiple)
    acc = te.compute(dims, element, name="acc")
    return te.compute(dims, lambda i, y, z, o: acc(i, y, z, o) + bias(o), name="y")


def bounds(
    x: Interval, weight: Interval, bias: Interval, *, pads: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], group: int, input_zero_point: int,
) -> Bound:  # fmt: skip
    """Every partial sum fits int32."""
    w, b = constants(weight, bias)
    kh, kw, channels, multiple = w.shape
    if channels != group:
        raise OverflowError(f"group is {group}, but the weight has {channels} channels")
    rows = w.reshape(kh * kw, channels * multiple).T
    return accumulate(reach_of(x, input_zero_point, pads), rows, b, INT32)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Strides, dilation, several outputs a channel; zero points at both ends."""
    plain = {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
    wide = {"pads": [2, 2, 2, 2], "strides": [2, 2], "dilations": [1, 1]}
    odd = {"pads": [0, 2, 1, 0], "strides": [1, 2], "dilations": [2, 1]}
    for dims, size, multiple, attributes, zero_point in (
        ((1, 6, 5, 8), 3, 1, plain, -4), ((2, 9, 9, 17), 5, 1, wide, 127), ((1, 7, 8, 3), 3, 2, odd, -128),
    ):  # fmt: skip
        weight = np.maximum(spread(rng, np.int8, (size, size, dims[3], multiple)), -127)
        bias = spread(rng, np.int32, (dims[3] * multiple,)) >> 4
        settings = {**attributes, "group": dims[3], "input_zero_point": zero_point}
        yield Sample(inputs=(spread(rng, np.int8, dims), weight, bias), attributes=settings)


DEPTHWISE_CONV2D = Op(
    name="DepthwiseConv2d", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples
)
