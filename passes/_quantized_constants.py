"""Quantized constants: the numbers that they mean, and the grid of the weights among them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, replace, shape
from edgegate.passes._grids import put_grid

MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
"""Ops between a constant and the layer that reads it as weights."""
HIGHEST = 127
"""The greatest magnitude of a stored weight."""


class Unfit(Exception):
    """A quantizer that integers cannot follow: what is wrong with it, and what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def spread(node: ir.Node, parameter: Array, dims: tuple[int, ...]) -> Array:
    """A scale or zero point as the quantizer ``node`` applies it to a tensor of shape ``dims``: broadcast to it.

    One for all, one per index of ``axis``, or one per block of ``block_size`` along ``axis`` (opset 21).

    Raises:
        Unfit: It has another size than the axis.
    """
    if parameter.size == 1:
        return np.broadcast_to(parameter.reshape(()), dims)
    axis, block = int(attribute(node, "axis", 1)), int(attribute(node, "block_size", 0))
    if not -len(dims) <= axis < len(dims):
        raise Unfit(f"has scales along axis {axis} of a tensor of shape {list(dims)}", "name an axis that it has")
    axis %= len(dims)
    if block:
        whole = np.repeat(parameter, block, axis=axis) if parameter.ndim == len(dims) else parameter
        part = whole.take(range(min(dims[axis], whole.shape[axis])), axis=axis) if whole.ndim == len(dims) else whole
        if part.shape != dims:
            what = f"has scales {list(parameter.shape)} in blocks of {block} for a tensor of shape {list(dims)}"
            raise Unfit(what, "give one scale per block of the axis")
        return np.asarray(part)
    if parameter.shape != (dims[axis],):
        what = f"has {parameter.size} scales or zero points for axis {axis}, which has {dims[axis]} indices"
        raise Unfit(what, "give one per index, or one for all")
    return np.broadcast_to(parameter.reshape([-1 if a == axis else 1 for a in range(len(dims))]), dims)


def dequantize(model: ir.Model, node: ir.Node, stored: Array, scale: Array, zero_point: Array) -> None:
    """Put the float constant that DequantizeLinear makes of constants in its place.

    Layers that read it as weights, also transposed or reshaped, are told its grid.

    Args:
        model: Holds the node.
        node: The DequantizeLinear.
        stored: Its integers, of any type that numpy can widen.
        scale: float64, of any shape that it can have.
        zero_point: int64, likewise.

    Raises:
        Unfit: The grid is none that a layer's weights can have.
    """
    try:
        integers = stored.astype(np.int64)
    except (TypeError, ValueError):
        raise Unfit(f"dequantizes {stored.dtype}", "give integers") from None
    if not np.array_equal(integers, stored.astype(np.float64)):
        raise Unfit(f"dequantizes {stored.dtype}, which holds no integers", "give integers")
    steps = np.array(spread(node, scale, stored.shape))
    integers = integers - spread(node, zero_point, stored.shape)
    _tell(node.outputs[0], integers, steps)
    real = constant(model, str(node.outputs[0].name), (integers * steps).astype(np.float32))
    replace(node, real)


def _tell(value: ir.Value, integers: Array, steps: Array) -> None:
    """Put the grid on every layer whose weights ``value`` is."""
    for node, index in value.uses():
        if node.op_type in MOVES and index == 0 and not node.domain:
            _tell(node.outputs[0], _moved(node, integers), _moved(node, steps))
        elif (axis := output_axis(node, index, integers.ndim)) is not None:
            bits, scales = _grid(node, integers, steps, axis)
            put_grid(node, bits, scales)


def _moved(node: ir.Node, data: Array) -> Array:
    """What the move makes of ``data``."""
    if node.op_type == "Transpose":
        return data.transpose(attribute(node, "perm", range(data.ndim)[::-1]))
    return data.reshape(shape(node.outputs[0]))


def output_axis(node: ir.Node, index: int, rank: int) -> int | None:
    """The axis of the output channels in input ``index`` of a layer, if that is its weights; else None."""
    match node.domain, node.op_type, index:
        case "", "Conv", 1:
            return 0
        case "", "ConvTranspose", 1:
            return 1
        case "", "Gemm", 1:
            return 0 if attribute(node, "transB", 0) else 1
        case "", "MatMul", 1 if rank >= 2:
            return rank - 1
        case "", "MatMul", 0 if rank == 2:  # W @ x mixes tokens: its rows are what comes out
            return 0 if array(node.inputs[1]) is None else None
    return None


def _grid(node: ir.Node, integers: Array, steps: Array, axis: int) -> tuple[int, Array]:
    """Bits, and the scales per output channel, or the one for all."""
    rows = np.moveaxis(steps, axis, 0).reshape(steps.shape[axis], -1)
    if not (rows == rows[:, :1]).all():
        what = f"has scales that differ within an output channel of the {node.op_type} that reads it"
        raise Unfit(what, f"give one scale per index of axis {axis}, the output channels")
    most = int(np.abs(integers).max(initial=0))
    if most > HIGHEST:
        what = f"has weights up to {most} steps from the zero point, past [-{HIGHEST}, {HIGHEST}]"
        raise Unfit(what, "quantize weights symmetrically, in the narrow range")
    scales = rows[:, 0]
    if node.op_type == "ConvTranspose":
        scales = np.tile(scales, int(attribute(node, "group", 1)))
    return max(2, most.bit_length() + 1), scales if len(np.unique(scales)) > 1 else scales[:1]
