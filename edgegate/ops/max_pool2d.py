"""MaxPool2d: the greatest value of each window; channels last. Padding holds the type's least value.

Source: TOSA 1.0.1, MAX_POOL2D.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import output_size, windows
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
MaxPool2d <kernel, pads, strides, dilations> (x) => (y) {
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (x)
    pooled = MaxPool <kernel_shape: ints = @kernel, pads: ints = @pads, strides: ints = @strides,
        dilations: ints = @dilations> (planes)
    y = Transpose <perm: ints = [0, 2, 3, 1]> (pooled)
}
"""


def reference(
    x: Array, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Array:
    """Pool int8 or uint8 [N, H, W, C]; ``pads`` are top, left, bottom, right."""
    view = windows(x, kernel, pads, strides, dilations, int(np.iinfo(x.dtype).min))
    return view.max(axis=(3, 4))


def lower(
    x: Any, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Any:
    """The portable TE form."""
    from tvm import te, tirx

    n, h, w, c = (int(d) for d in x.shape)
    top, left, bottom, right = pads
    least = tirx.min_value(x.dtype)

    def inside(i: Any, y: Any, z: Any, k: Any) -> Any:
        within = tirx.all(y >= top, y < top + h, z >= left, z < left + w)
        return tirx.if_then_else(within, x(i, y - top, z - left, k), least)

    around = te.compute((n, h + top + bottom, w + left + right, c), inside, name="padded")
    oh = output_size(h, kernel[0], top, bottom, strides[0], dilations[0])
    ow = output_size(w, kernel[1], left, right, strides[1], dilations[1])
    u, v = te.reduce_axis((0, kernel[0]), name="u"), te.reduce_axis((0, kernel[1]), name="v")

    def element(i: Any, y: Any, z: Any, k: Any) -> Any:
        row, column = y * strides[0] + u * dilations[0], z * strides[1] + v * dilations[1]
        return te.max(around(i, row, column, k), axis=[u, v])

    return te.compute((n, oh, ow, c), element, name="y")


def bounds(
    x: Interval, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Bound:
    """A window always holds a value of the input, so the interval stays."""
    if any(p >= k for p, k in zip(pads, (*kernel, *kernel), strict=True)):
        raise OverflowError("a window may lie wholly in the padding")
    return Bound(output=Interval(low=x.low, high=x.high))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Overlapping, strided and dilated windows."""
    plain = {"kernel": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2], "dilations": [1, 1]}
    same = {"kernel": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 1], "dilations": [1, 1]}
    holes = {"kernel": [3, 2], "pads": [1, 0, 0, 1], "strides": [1, 1], "dilations": [2, 2]}
    for attributes in (plain, same, holes):
        for dtype in (np.int8, np.uint8):
            yield Sample(inputs=(spread(rng, dtype, (2, 8, 9, 5)),), attributes=attributes)


MAX_POOL2D = Op(name="MaxPool2d", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
