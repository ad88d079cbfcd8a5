"""The pixels under a convolution's kernel, one beside the other: a convolution as a product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering


def windows(lowering: Lowering, node: ir.Node, value: ir.Value, name: str, fill: int = 0) -> ir.Value:
    """A value [N, ..., C] as [N, ..., taps * C]: the pixels under the kernel, ``fill`` outside the image."""
    batch, *image, channels = shape(value)
    assert node.inputs[1] is not None, "a convolution has weights"
    kernel, out = shape(node.inputs[1])[2:], shape(node.outputs[0])[2:]
    index = taps(node, image, kernel, out)
    pixels, dtype = int(np.prod(image)), value.dtype
    assert dtype is not None, "stored values have a type"
    if np.array_equal(index, np.arange(pixels)):
        return value

    def reshaped(x: ir.Value, dims: Sequence[int], what: str) -> ir.Value:
        target = lowering.ints("dims", dims)
        return lowering.emit("Reshape", [x, target], f"{name}.{what}", dtype, dims, {"allowzero": 0}, domain="")

    flat = reshaped(value, (batch, pixels, channels), "pixels")
    if (index == pixels).any():
        zero = lowering.constant(f"{name}.outside", np.full((batch, 1, channels), fill, dtype.numpy()))
        dims = (batch, pixels + 1, channels)
        flat = lowering.emit("Concat", [flat, zero], f"{name}.bordered", dtype, dims, {"axis": 1}, domain="")
    dims = (batch, len(index), channels)
    under = [flat, lowering.constant(f"{name}.taps", index)]
    picked = lowering.emit("Gather", under, f"{name}.picked", dtype, dims, {"axis": 1}, domain="")
    return reshaped(picked, (batch, *out, int(np.prod(kernel)) * channels), "windows")


def taps(node: ir.Node, image: Sequence[int], kernel: Sequence[int], out: Sequence[int]) -> Array:
    """The pixel under each tap of each output pixel, int64 [outputs * taps]; the number of pixels where there is none.

    Pixels and outputs are counted row by row.
    """
    pads, strides, dilations = (list(attribute(node, k)) for k in ("pads", "strides", "dilations"))
    rank = len(kernel)
    index, outside = np.zeros([1] * (2 * rank), np.int64), np.zeros([1] * (2 * rank), np.bool_)
    for axis in range(rank):
        place = np.arange(out[axis])[:, None] * strides[axis] + np.arange(kernel[axis]) * dilations[axis] - pads[axis]
        along = [1] * (2 * rank)
        along[axis], along[rank + axis] = place.shape
        place = place.reshape(along)
        index = index * image[axis] + place
        outside = outside | (place < 0) | (place >= image[axis])
    return np.where(outside, int(np.prod(image)), index).reshape(-1)
