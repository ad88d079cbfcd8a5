"""Conv2d: int8 windows times int8 weights, summed in int32; channels last.

    y[n, i, j, o] = bias[o] + sum over (u, v, c) of
        (x[n, i*sy + u*dy - top, j*sx + v*dx - left, g*C' + c] - input_zero_point) * weight[o, u, v, c]

with C' = C / group and g the group of o; positions in the padding contribute zero.
Source: TOSA 1.0.1, CONV2D (to which ``group`` is added).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, constants, output_size, padded, product, reach_of, windows
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT32, Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Conv2d <pads, strides, dilations, group, input_zero_point> (x, weight, bias) => (y) {
    zero = Constant <value_int: int = @input_zero_point> ()
    zero_point = CastLike (zero, x)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (x)
    kernel = Transpose <perm: ints = [0, 3, 1, 2]> (weight)
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
    """Convolve.

    Args:
        x: int8 or uint8 [N, H, W, C].
        weight: int8 [O, KH, KW, C / group], never -128.
        bias: int32 [O], at the scale of the products.
        pads: Top, left, bottom, right.
        strides: Down and across.
        dilations: Down and across.
        group: Groups of channels.
        input_zero_point: Stored value of real zero; also what the padding holds.

    Returns:
        int32 [N, OH, OW, O].
    """
    return convolve(x, weight, bias, np.int32, pads, strides, dilations, group, input_zero_point)


def convolve(
    x: Array, weight: Array, bias: Array, dtype: Any, pads: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], group: int, zero_point: int,
) -> Array:  # fmt: skip
    """The convolution with accumulators of ``dtype``; arguments as in :func:`reference`."""
    outputs, kh, kw, depth = weight.shape
    view = windows(x.astype(dtype) - dtype(zero_point), (kh, kw), pads, strides, dilations, 0)
    n, oh, ow = view.shape[:3]
    view = view.reshape(n, oh, ow, kh, kw, group, depth)
    kernel = weight.astype(dtype).reshape(group, outputs // group, kh * kw * depth)
    rows = view.transpose(5, 0, 1, 2, 3, 4, 6).reshape(group, n * oh * ow, kh * kw * depth)
    products = product(rows, kernel.transpose(0, 2, 1))
    return products.transpose(1, 0, 2).reshape(n, oh, ow, outputs) + bias.astype(dtype)


def lower(
    x: Any, weight: Any, bias: Any, *, pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    group: int, input_zero_point: int,
) -> Any:  # fmt: skip
    """The portable TE form."""
    return compute(x, weight, bias, "int32", pads, strides, dilations, group, input_zero_point)


def compute(
    x: Any, weight: Any, bias: Any, dtype: str, pads: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], group: int, zero_point: int,
) -> Any:  # fmt: skip
    """TE convolution with accumulators of ``dtype``."""
    from tvm import te

    n, h, w, _ = (int(d) for d in x.shape)
    outputs, kh, kw, depth = (int(d) for d in weight.shape)
    around = padded(x, pads, zero_point, dtype)
    oh = output_size(h, kh, pads[0], pads[2], strides[0], dilations[0])
    ow = output_size(w, kw, pads[1], pads[3], strides[1], dilations[1])
    u, v, c = (te.reduce_axis((0, d), name=name) for d, name in ((kh, "u"), (kw, "v"), (depth, "c")))
    per_group = outputs // group

    def element(i: Any, y: Any, z: Any, o: Any) -> Any:
        row, column = y * strides[0] + u * dilations[0], z * strides[1] + v * dilations[1]
        channel = c if group == 1 else o // per_group * depth + c
        return te.sum(around(i, row, column, channel) * weight(o, u, v, c).astype(dtype), axis=[u, v, c])

    acc = te.compute((n, oh, ow, outputs), element, name="acc")
    return te.compute((n, oh, ow, outputs), lambda i, y, z, o: acc(i, y, z, o) + bias(o), name="y")


def bounds(
    x: Interval, weight: Interval, bias: Interval, *, pads: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], group: int, input_zero_point: int,
) -> Bound:  # fmt: skip
    """Every partial sum fits int32."""
    w, b = constants(weight, bias)
    return accumulate(reach_of(x, input_zero_point, pads), w.reshape(len(w), -1), b, INT32)


GEOMETRY: tuple[tuple[tuple[int, ...], tuple[int, ...], int, dict[str, Any]], ...] = (
    ((1, 5, 6, 3), (8, 3, 3), 1, {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}),
    ((2, 7, 5, 4), (6, 3, 2), 2, {"pads": [0, 1, 2, 0], "strides": [2, 1], "dilations": [1, 2]}),
    ((1, 4, 4, 16), (17, 1, 1), 1, {"pads": [0, 0, 0, 0], "strides": [1, 1], "dilations": [1, 1]}),
    ((1, 9, 9, 5), (5, 3, 3), 5, {"pads": [2, 2, 2, 2], "strides": [2, 2], "dilations": [2, 2]}),
)
"""Input shape, (outputs, KH, KW), group and attributes of the samples."""


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Strides, dilations, groups and uneven padding; zero points at both ends."""
    for (dims, (outputs, kh, kw), group, attributes), zero_point in zip(GEOMETRY, (3, -128, 127, 0), strict=True):
        x = spread(rng, np.int8, dims)
        weight = np.maximum(spread(rng, np.int8, (outputs, kh, kw, dims[3] // group)), -127)
        bias = spread(rng, np.int32, (outputs,)) >> 4
        settings = {**attributes, "group": group}
        yield Sample(inputs=(x, weight, bias), attributes={**settings, "input_zero_point": zero_point})
        unsigned = (x.astype(np.int16) + 128).astype(np.uint8)
        yield Sample(inputs=(unsigned, weight, bias), attributes={**settings, "input_zero_point": zero_point + 128})


CONV2D = Op(name="Conv2d", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
