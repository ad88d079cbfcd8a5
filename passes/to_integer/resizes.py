"""Resizing: nearest picks stored values, linear weighs four of them by integers.

Source: ONNX operator specification, Resize, opset 21.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, rescale
from edgegate.passes.to_integer.windows import as_image, keep_image

WEIGHT_BITS = {"int8": 11, "uint8": 11, "int16": 7}
"""Fractional bits of a linear resize's weights, by the input's type: the sum of four fits int32."""


def resize(lowering: Lowering, node: ir.Node) -> None:
    """Nearest as two Gathers; linear as integer weights."""
    _check(node)
    output = node.outputs[0]
    x, name = as_image(lowering, node), str(output.name)
    sizes = [1, *shape(output)[2:]][-2:]
    spots = [positions(node, i - 2, x.dims[1 + i], length) for i, length in enumerate(sizes)]
    if attribute(node, "mode", "nearest") == "nearest":
        keep_image(lowering, output, _picked(lowering, node, x, spots), x.storage)
        return
    bits, target = WEIGHT_BITS[x.storage.dtype], lowering.storage(output)
    taps = [part for spot, size in zip(spots, x.dims[1:3], strict=True) for part in _linear(spot, size, bits)]
    names = ("rows", "row_weights", "columns", "column_weights")
    constants = [lowering.constant(f"{name}.{k}", v) for k, v in zip(names, taps, strict=True)]
    dims = [x.dims[0], *sizes, x.dims[3]]
    sums = lowering.emit(
        "ResizeLinear", [x.value, *constants], f"{name}.sum", ir.DataType.INT32, dims,
        {"input_zero_point": x.storage.zero_point},
    )  # fmt: skip
    scale = Fraction(x.storage.scale) / Fraction(target.scale) / (1 << 2 * bits)
    keep_image(lowering, output, rescale(lowering, sums, dims, [scale], target, name), target)


def _check(node: ir.Node) -> None:
    """NotLowerable for what is neither nearest nor linear over space."""
    mode, source, output = attribute(node, "mode", "nearest"), node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    before, after = shape(source), shape(output)
    if mode not in ("nearest", "linear"):
        raise NotLowerable(f"resizing in {mode} mode has no integer form", "use bilinear or nearest")
    if attribute(node, "antialias", 0) and any(a < b for a, b in zip(after, before, strict=True)):
        raise NotLowerable("resizing with antialias has no integer form", "use average pooling")
    if after[:2] != before[:2]:
        raise NotLowerable("resizing samples or channels has no integer form", "resize along space alone")
    if attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotLowerable("an aspect ratio that is kept has no integer form", "give the sizes")


def positions(node: ir.Node, axis: int, size: int, length: int) -> Array:
    """Where each output index samples its input: ONNX Resize's coordinate modes.

    Args:
        node: The Resize.
        axis: Counted from the end: -2 or -1.
        size: Of the input.
        length: Of the output.
    """
    mode = str(attribute(node, "coordinate_transformation_mode", "half_pixel"))
    factor = _factor(node, axis, size, length)
    index: Array = np.arange(length, dtype=factor.dtype)
    if mode == "align_corners":
        return index * (size - 1) / (length - 1) if length > 1 else index * 0
    if mode == "asymmetric":
        return index / factor
    middle = (index + 0.5) / factor - 0.5
    if mode == "pytorch_half_pixel":
        return middle if length > 1 else index * 0
    if mode == "half_pixel_symmetric":
        return middle + size / 2 * (1 - length / (factor * size))
    if mode == "half_pixel":
        return middle
    raise NotLowerable(f"Resize with coordinates {mode!r} has no integer form", "use half_pixel or align_corners")


def _factor(node: ir.Node, axis: int, size: int, length: int) -> np.float32 | np.float64:
    """The ratio of the sizes in float64, unless the node names a scale that is another number in float32.

    They differ where a size was rounded down: 5 * 1.5 is 7, and 7 / 5 is not 1.5. What is then computed in
    float32 falls on the same side of a tie as in ONNX Runtime.
    """
    given = array(node.inputs[2]) if len(node.inputs) > 2 else None
    ratio = np.float64(length / size)
    named = np.float32(ratio if given is None or not given.size else given[axis])
    return ratio if named == np.float32(ratio) else named


def _picked(lowering: Lowering, node: ir.Node, x: Stored, spots: list[Array]) -> ir.Value:
    """The nearest stored values."""
    value, dims, name = x.value, list(x.dims), str(node.outputs[0].name)
    for axis, spot, part in ((1, spots[0], "rows"), (2, spots[1], "columns")):
        index = np.clip(_nearest(node, spot), 0, x.dims[axis] - 1).astype(np.int64)
        dims[axis] = len(index)
        chosen = lowering.constant(f"{name}.{part}", index)
        value = lowering.emit(
            "Gather", [value, chosen], f"{name}.{part}_taken", dtype_of(x.storage), dims, {"axis": axis}, domain=""
        )  # fmt: skip
    return value


def _nearest(node: ir.Node, spot: Array) -> Array:
    """ONNX Resize's nearest modes."""
    rules: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda s: np.ceil(s - 0.5),
        "round_prefer_ceil": lambda s: np.floor(s + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    return np.asarray(rules[str(attribute(node, "nearest_mode", "round_prefer_floor"))](spot))


def _linear(spot: Array, size: int, bits: int) -> tuple[Array, Array]:
    """Two taps per output index and their weights, which sum to 2**bits; edges are repeated."""
    inside = np.clip(spot, 0, size - 1)
    first = np.floor(inside).astype(np.int32)
    weight = np.floor((inside - first) * (1 << bits) + 0.5).astype(np.int32)
    taps = np.stack([first, np.minimum(first + 1, size - 1)], 1)
    return taps.astype(np.int32), np.stack([(1 << bits) - weight, weight], 1)
