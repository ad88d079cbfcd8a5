"""Reductions, pools and resizing: sums in int32, one Rescale with the count folded in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, match, rescale
from edgegate.passes.to_integer.layers import CHANNELS_LAST


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


def average_pool(lowering: Lowering, node: ir.Node) -> None:
    """AveragePool over two axes; the count may vary at the border, and then so does the multiplier."""
    output = node.outputs[0]
    if len(shape(output)) != 4:
        raise NotLowerable("an average over windows takes images", "reshape to four axes")
    x, target, name = lowering.stored(node.inputs[0], CHANNELS_LAST[4]), lowering.storage(output), str(output.name)
    kernel, pads, strides = (list(attribute(node, k)) for k in ("kernel_shape", "pads", "strides"))
    dims = [shape(output)[a] for a in CHANNELS_LAST[4]]
    attributes = {"kernel": kernel, "pads": pads, "strides": strides, "input_zero_point": x.storage.zero_point}
    sums = lowering.emit("SumPool2d", [x.value], f"{name}.sum", ir.DataType.INT32, dims, attributes)
    if any(pads) and not attribute(node, "count_include_pad", 0):
        raise NotLowerable("an average whose count varies at the border", "use count_include_pad=True")
    scale = Fraction(x.storage.scale) / Fraction(target.scale) / prod(kernel)
    value = rescale(lowering, sums, dims, [scale], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=CHANNELS_LAST[4]))


def max_pool(lowering: Lowering, node: ir.Node) -> None:
    """MaxPool over two axes: order is kept by storage, so the stored values are pooled as they are."""
    output = node.outputs[0]
    if len(shape(output)) != 4:
        raise NotLowerable("a maximum over windows takes images", "reshape to four axes")
    x, name = lowering.stored(node.inputs[0], CHANNELS_LAST[4]), str(output.name)
    if x.storage.dtype == "int16":
        raise NotLowerable("a maximum over windows takes an 8-bit input", "store its input in int8")
    keys = {"kernel": "kernel_shape", "pads": "pads", "strides": "strides", "dilations": "dilations"}
    attributes = {ours: list(attribute(node, theirs)) for ours, theirs in keys.items()}
    dims = [shape(output)[a] for a in CHANNELS_LAST[4]]
    value = lowering.emit("MaxPool2d", [x.value], f"{name}.max", dtype_of(x.storage), dims, attributes)
    pooled = Stored(value=value, storage=x.storage, order=CHANNELS_LAST[4])
    lowering.keep(output, match(lowering, pooled, lowering.storage(output), name))


def positions(node: ir.Node, axis: int, size: int, length: int) -> Array:
    """Where each output index of ``axis`` samples its input, in float64: ONNX Resize's coordinate modes."""
    mode = str(attribute(node, "coordinate_transformation_mode"))
    index = np.arange(length, dtype=np.float64)
    ratio = length / size
    if mode == "align_corners":
        return index * (size - 1) / (length - 1) if length > 1 else index * 0
    if mode in ("half_pixel", "pytorch_half_pixel"):
        middle = (index + 0.5) / ratio - 0.5
        return middle * 0 if mode == "pytorch_half_pixel" and length == 1 else middle
    if mode == "asymmetric":
        return index / ratio
    raise NotLowerable(f"Resize with coordinates {mode!r} has no integer form", "use half_pixel or align_corners")


def resize(lowering: Lowering, node: ir.Node) -> None:
    """Nearest as two Gathers; linear as integer weights with 7 bits per axis."""
    output = node.outputs[0]
    if len(shape(output)) != 4:
        raise NotLowerable("Resize takes images", "reshape to four axes")
    x, target, name = lowering.stored(node.inputs[0], CHANNELS_LAST[4]), lowering.storage(output), str(output.name)
    n, c, oh, ow = shape(output)
    spots = [positions(node, a, x.dims[a], length) for a, length in ((1, oh), (2, ow))]
    if str(attribute(node, "mode")) == "nearest":
        value, dims = x.value, list(x.dims)
        for axis, spot, part in ((1, spots[0], "rows"), (2, spots[1], "columns")):
            index = np.clip(_nearest(node, spot), 0, x.dims[axis] - 1).astype(np.int64)
            dims[axis] = len(index)
            chosen = lowering.constant(f"{name}.{part}", index)
            value = lowering.emit(
                "Gather", [value, chosen], f"{name}.{part}_taken", dtype_of(x.storage), dims, {"axis": axis}, domain=""
            )  # fmt: skip
        near = Stored(value=value, storage=x.storage, order=CHANNELS_LAST[4])
        lowering.keep(output, match(lowering, near, target, name))
        return
    taps = [_linear(spot, x.dims[a]) for a, spot in ((1, spots[0]), (2, spots[1]))]
    names = ("rows", "row_weights", "columns", "column_weights")
    constants = [lowering.constant(f"{name}.{k}", v) for k, v in zip(names, (*taps[0], *taps[1]), strict=True)]
    sums = lowering.emit(
        "ResizeLinear", [x.value, *constants], f"{name}.sum", ir.DataType.INT32, [n, oh, ow, c],
        {"input_zero_point": x.storage.zero_point},
    )  # fmt: skip
    scale = Fraction(x.storage.scale) / Fraction(target.scale) / (1 << 2 * WEIGHT_BITS)
    value = rescale(lowering, sums, [n, oh, ow, c], [scale], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=CHANNELS_LAST[4]))


WEIGHT_BITS = 7
"""Fractional bits of a linear resize's weights: exact for every scale that is a power of two up to 64."""


def _nearest(node: ir.Node, spot: Array) -> Array:
    """ONNX Resize's nearest modes."""
    rules: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda s: np.ceil(s - 0.5),
        "round_prefer_ceil": lambda s: np.floor(s + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    return np.asarray(rules[str(attribute(node, "nearest_mode"))](spot))


def _linear(spot: Array, size: int) -> tuple[Array, Array]:
    """Two taps per output index and their weights, which sum to 2**WEIGHT_BITS; edges are repeated."""
    inside = np.clip(spot, 0, size - 1)
    first = np.floor(inside).astype(np.int32)
    weight = np.floor((inside - first) * (1 << WEIGHT_BITS) + 0.5).astype(np.int32)
    taps = np.stack([first, np.minimum(first + 1, size - 1)], 1)
    return taps.astype(np.int32), np.stack([(1 << WEIGHT_BITS) - weight, weight], 1)
