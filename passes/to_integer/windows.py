"""Reductions and pools: sums in int32, one Rescale with the count folded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import lcm, prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, match, rescale
from edgegate.passes.to_integer.layers import CHANNELS_LAST, wide_conv
from edgegate.quant.storage import Storage


def _axes(node: ir.Node, rank: int) -> list[int]:
    """The float axes of a reduction, counted from 0; all where none are named."""
    given = array(node.inputs[1]) if len(node.inputs) > 1 else None
    listed = attribute(node, "axes") if given is None else given.reshape(-1).tolist()
    return sorted(int(a) % rank for a in (listed if listed is not None and len(listed) else range(rank)))


def _reduced(x: Stored, axes: Sequence[int], keepdims: bool) -> tuple[list[int], tuple[int, ...], list[int]]:
    """Stored axes to reduce, the order of what is left, and its shape in stored order."""
    stored = sorted(x.axis(a) for a in axes)
    if keepdims:
        return stored, x.order, [1 if i in stored else d for i, d in enumerate(x.dims)]
    left = [a for i, a in enumerate(x.order) if i not in stored]
    rank = {a: i for i, a in enumerate(sorted(left))}
    return stored, tuple(rank[a] for a in left), [d for i, d in enumerate(x.dims) if i not in stored]


def reduce_mean(lowering: Lowering, node: ir.Node) -> None:
    """ReduceMean, or ReduceSum: the sum is exact, and the mean is in the rescale."""
    output = node.outputs[0]
    x, target, name = lowering.stored(node.inputs[0]), lowering.storage(output), str(output.name)
    axes = _axes(node, len(x.order))
    keepdims = bool(attribute(node, "keepdims", 1))
    stored, order, dims = _reduced(x, axes, keepdims)
    attributes = {"axes": stored, "keepdims": int(keepdims), "input_zero_point": x.storage.zero_point}
    sums = lowering.emit("Sum", [x.value], f"{name}.sum", ir.DataType.INT32, dims, attributes)
    count = prod(x.dims[a] for a in stored) if node.op_type == "ReduceMean" else 1
    scale = Fraction(x.storage.scale) / Fraction(target.scale) / count
    value = rescale(lowering, sums, dims, [scale], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=order))


def cum_sum(lowering: Lowering, node: ir.Node) -> None:
    """CumSum along a constant axis: exact sums, in int64 where 32 bits could overflow."""
    output, given = node.outputs[0], array(node.inputs[1])
    if given is None:
        raise NotLowerable("its axis is computed at run time", "use a constant axis")
    x, target, name = lowering.stored(node.inputs[0]), lowering.storage(output), str(output.name)
    axis = x.axis(int(given.reshape(-1)[0]))
    wide = x.dims[axis] * (x.storage.high - x.storage.low) >= 1 << 31
    kind = ir.DataType.INT64 if wide else ir.DataType.INT32
    one = [lowering.constant(f"{name}.{key}", np.array([n], np.int32)) for key, n in (("one", 1 << 30), ("bits", 30))]
    zero = x.storage.zero_point
    limits = {"low": x.storage.low - zero, "high": x.storage.high - zero, "to": kind.value}
    attributes = {"input_zero_point": zero, "output_zero_point": 0, **limits}
    centred = lowering.emit("Rescale", [x.value, *one], f"{name}.centred", kind, x.dims, attributes)
    ways = {key: int(attribute(node, key, 0)) for key in ("exclusive", "reverse")}
    inputs = [centred, lowering.constant(f"{name}.axis", np.array(axis, np.int64))]
    sums = lowering.emit("CumSum", inputs, f"{name}.sums", kind, x.dims, ways, domain="")
    value = rescale(lowering, sums, x.dims, [Fraction(x.storage.scale) / Fraction(target.scale)], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def reduce_extremum(lowering: Lowering, node: ir.Node) -> None:
    """ReduceMax or ReduceMin: order is kept by storage, so the stored values are compared as they are."""
    output = node.outputs[0]
    x, name = lowering.stored(node.inputs[0]), str(output.name)
    keepdims = bool(attribute(node, "keepdims", 1))
    stored, order, dims = _reduced(x, _axes(node, len(x.order)), keepdims)
    attributes = {"axes": stored, "keepdims": int(keepdims)}
    value = lowering.emit(node.op_type, [x.value], f"{name}.picked", dtype_of(x.storage), dims, attributes)
    picked = Stored(value=value, storage=x.storage, order=order)
    lowering.keep(output, match(lowering, picked, lowering.storage(output), name))


def as_image(lowering: Lowering, node: ir.Node) -> Stored:
    """The node's input as [N, H, W, C]; a line becomes an image of one row."""
    source = node.inputs[0]
    assert source is not None, "a data input is never optional"
    rank = len(shape(source))
    if rank not in CHANNELS_LAST:
        raise NotLowerable(f"{node.op_type} over {rank - 2} axes has no integer form", "one or two are supported")
    x = lowering.stored(source, CHANNELS_LAST[rank])
    if rank == 4:
        return x
    n, length, c = x.dims
    value = _reshaped(lowering, x.value, (n, 1, length, c), f"{x.value.name}.row")
    return replace(x, value=value, order=CHANNELS_LAST[4])


def keep_image(lowering: Lowering, output: ir.Value, value: ir.Value, storage: Storage) -> None:
    """Declare an output that came out as [N, H, W, C], rescaled where the scheme wants another storage."""
    rank, target, name = len(shape(output)), lowering.storage(output), str(output.name)
    if rank == 3:
        value = _reshaped(lowering, value, [shape(output)[a] for a in CHANNELS_LAST[3]], f"{name}.line")
    lowering.keep(
        output, match(lowering, Stored(value=value, storage=storage, order=CHANNELS_LAST[rank]), target, name)
    )


def _reshaped(lowering: Lowering, value: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    assert value.dtype is not None, "stored values have a type"
    inputs = [value, lowering.ints("dims", dims)]
    return lowering.emit("Reshape", inputs, name, value.dtype, dims, {"allowzero": 0}, domain="")


def _windows(node: ir.Node, x: Stored) -> tuple[dict[str, list[int]], list[int]]:
    """The attributes of a pool over [N, H, W, C], and the sizes (H, W) of its output.

    Where windows reach beyond the pads (a pool that rounds up), the pads at the end are as long as that.
    """
    sizes = [1, *shape(node.outputs[0])[2:]][-2:]
    spatial = len(shape(node.outputs[0])) - 2
    missing = 2 - spatial
    kernel = [1] * missing + list(attribute(node, "kernel_shape"))
    strides, dilations = ([1] * missing + list(attribute(node, k, [1] * spatial)) for k in ("strides", "dilations"))
    pads = list(attribute(node, "pads", [0] * 2 * spatial))
    before, after = [0] * missing + pads[:spatial], [0] * missing + pads[spatial:]
    for i in range(2):
        reach = (sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
        after[i] = max(after[i], reach - before[i] - x.dims[1 + i])
    return {"kernel": kernel, "pads": before + after, "strides": strides, "dilations": dilations}, sizes


def average_pool(lowering: Lowering, node: ir.Node) -> None:
    """AveragePool over one or two axes.

    Where windows at the border average fewer elements, each sum is first multiplied by L / count, an integer for
    L the least common multiple of the counts, so that one Rescale by 1 / L does for all.
    """
    output, name = node.outputs[0], str(node.outputs[0].name)
    x, target = as_image(lowering, node), lowering.storage(node.outputs[0])
    attributes, (oh, ow) = _windows(node, x)
    if any(d != 1 for d in attributes.pop("dilations")):
        raise NotLowerable("an average over windows with holes has no integer form", "use a depthwise convolution")
    dims = [x.dims[0], oh, ow, x.dims[3]]
    sums = _window_sums(lowering, x, attributes, dims, name)
    kind = sums.dtype or ir.DataType.INT32
    counts = np.outer(*(_counts(node, attributes, x, i, n) for i, n in enumerate((oh, ow))))
    common = lcm(*counts.reshape(-1).tolist())
    if counts.min() != common:
        if common > BORDER_LIMIT:
            raise NotLowerable("an average with too many different counts at its border", "use count_include_pad=True")
        weights = lowering.constant(f"{name}.factors", (common // counts).reshape(1, oh, ow, 1).astype(kind.numpy()))
        sums = lowering.emit("Mul", [sums, weights], f"{name}.weighted", kind, dims, domain="")
    scale = Fraction(x.storage.scale) / Fraction(target.scale) / common
    keep_image(lowering, output, rescale(lowering, sums, dims, [scale], target, name), target)


def _window_sums(
    lowering: Lowering, x: Stored, windows: dict[str, list[int]], dims: Sequence[int], name: str
) -> ir.Value:
    """The sum of each window, int32; of 16-bit values int64, from a convolution with ones."""
    if x.storage.dtype != "int16":
        keys = {**windows, "input_zero_point": x.storage.zero_point}
        return lowering.emit("SumPool2d", [x.value], f"{name}.sum", ir.DataType.INT32, dims, keys)
    channels = dims[3]
    ones, zeros = np.ones((channels, *windows["kernel"], 1), np.int8), np.zeros(channels, np.int64)
    keys = {"pads": windows["pads"], "strides": windows["strides"], "dilations": [1, 1], "group": channels}
    return wide_conv(lowering, x.value, ones, zeros, keys, dims, name)


BORDER_LIMIT = 1 << 18
"""Greatest common multiple of an average's counts: a sum of 8-bit values times L / count stays within int32."""


def _counts(node: ir.Node, windows: dict[str, list[int]], x: Stored, i: int, length: int) -> Array:
    """How many elements each window along spatial axis ``i`` averages: those inside, and pads if they count."""
    size, kernel, stride, before = x.dims[1 + i], windows["kernel"][i], windows["strides"][i], windows["pads"][i]
    spatial = len(shape(node.outputs[0])) - 2
    declared = [0] * (2 - spatial) + list(attribute(node, "pads", [0] * 2 * spatial))[spatial:]
    padded = bool(attribute(node, "count_include_pad", 0))
    first, last = (-before, size + declared[i]) if padded else (0, size)
    start = np.arange(length) * stride - before
    return np.asarray(np.minimum(start + kernel, last) - np.maximum(start, first))


def max_pool(lowering: Lowering, node: ir.Node) -> None:
    """MaxPool over one or two axes: order is kept by storage, so the stored values are pooled as they are.

    MaxPool2d takes bytes; in 16 bits the taps of one axis after the other are picked and compared.
    """
    if len(node.outputs) > 1:
        raise NotLowerable("a maximum with its place has no integer form", "use the maximum alone")
    output, x = node.outputs[0], as_image(lowering, node)
    attributes, (oh, ow) = _windows(node, x)
    if x.storage.dtype == "int16":
        rows = _greatest(lowering, x.value, 1, oh, attributes, f"{output.name}.rows")
        keep_image(lowering, output, _greatest(lowering, rows, 2, ow, attributes, f"{output.name}.columns"), x.storage)
        return
    dims = [x.dims[0], oh, ow, x.dims[3]]
    value = lowering.emit("MaxPool2d", [x.value], f"{output.name}.max", dtype_of(x.storage), dims, attributes)
    keep_image(lowering, output, value, x.storage)


def _greatest(
    lowering: Lowering, value: ir.Value, axis: int, length: int, windows: dict[str, list[int]], name: str
) -> ir.Value:
    """The maximum of windows along one axis of [N, H, W, C]; a tap in the padding is another tap of its window."""
    kernel, stride, dilation, before = (windows[k][axis - 1] for k in ("kernel", "strides", "dilations", "pads"))
    dims, kind = list(shape(value)), value.dtype
    assert kind is not None, "stored values have a type"
    taps = np.arange(length)[:, None] * stride + np.arange(kernel) * dilation - before
    inside = (taps >= 0) & (taps < dims[axis])
    if not inside.any(1).all():
        raise NotLowerable("a window lies wholly in the padding", "pad less")
    taps = np.where(inside, taps, taps[np.arange(length), inside.argmax(1)][:, None])
    index = lowering.constant(f"{name}.taps", taps.reshape(-1).astype(np.int64))
    dims[axis] = length * kernel
    picked = lowering.emit("Gather", [value, index], f"{name}.tap", kind, dims, {"axis": axis}, domain="")
    dims[axis : axis + 1] = [length, kernel]
    apart = _reshaped(lowering, picked, dims, f"{name}.window")
    del dims[axis + 1]
    return lowering.emit("ReduceMax", [apart], f"{name}.most", kind, dims, {"axes": [axis + 1], "keepdims": 0})
