"""Ops that hand elements on in another place, carried out on anything: on the numbers of the elements, say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape


def moved(node: ir.Node) -> list[list[Array]] | None:
    """Where each element of each output comes from.

    Returns:
        For each output a list with an int64 array of its shape for each data input: the flat index of the element
        of that input, or -1 where the element is not that input's. None if the node is no move, or one whose
        indices are not constant.
    """
    if node.domain or node.op_type not in (*_MOVES, "Concat", "Split"):
        return None
    if node.op_type == "Concat":
        return [_concat(node)]
    source = node.inputs[0]
    if source is None or any(v is not None and array(v) is None for v in node.inputs[1:]):
        return None
    index = np.arange(int(np.prod(shape(source), dtype=np.int64))).reshape(shape(source))
    if node.op_type == "Split":
        axis, sizes = int(attribute(node, "axis", 0)), [shape(v) for v in node.outputs]
        return [[part] for part in np.split(index, np.cumsum([s[axis] for s in sizes])[:-1], axis=axis)]
    made = _MOVES[node.op_type](node, index)
    return None if made is None or made.shape != shape(node.outputs[0]) else [[made]]


def data_inputs(node: ir.Node) -> int:
    """How many of a move's inputs, from the first, hold elements."""
    return len(node.inputs) if node.op_type == "Concat" else 1


def _concat(node: ir.Node) -> list[Array]:
    sizes = [shape(v) for v in node.inputs if v is not None]
    axis, result = int(attribute(node, "axis", 0)), []
    for i in range(len(sizes)):
        parts = [np.full(dims, -1, np.int64) for dims in sizes]
        parts[i] = np.arange(parts[i].size).reshape(sizes[i])
        result.append(np.concatenate(parts, axis=axis))
    return result


def _constant(node: ir.Node, i: int) -> list[int] | None:
    data = array(node.inputs[i]) if len(node.inputs) > i else None
    return None if data is None else [int(v) for v in data.ravel()]


def _reshape(node: ir.Node, x: Array) -> Array:
    return x.reshape(shape(node.outputs[0]))


def _transpose(node: ir.Node, x: Array) -> Array:
    return x.transpose(attribute(node, "perm", range(x.ndim)[::-1]))


def _slice(node: ir.Node, x: Array) -> Array | None:
    starts, ends, axes, steps = (_constant(node, i) for i in range(1, 5))
    if starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        cut[axis] = slice(start, None if step < 0 and end < -size else end, step)
    return x[tuple(cut)]


def _expand(node: ir.Node, x: Array) -> Array:
    return np.broadcast_to(x, shape(node.outputs[0]))


def _gather(node: ir.Node, x: Array) -> Array | None:
    data = array(node.inputs[1])
    return None if data is None else np.take(x, data.astype(np.int64), axis=int(attribute(node, "axis", 0)))


def _tile(node: ir.Node, x: Array) -> Array | None:
    repeats = _constant(node, 1)
    return None if repeats is None else np.tile(x, repeats)


def _pad(node: ir.Node, x: Array) -> Array | None:
    pads, axes, mode = _constant(node, 1), _constant(node, 3), attribute(node, "mode", "constant")
    value = array(node.inputs[2]) if len(node.inputs) > 2 else None
    if pads is None or min(pads) < 0 or (value is not None and value.any()) or mode not in ("constant", "edge"):
        return None
    axes = list(range(x.ndim)) if axes is None else axes
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        widths[axis] = pads[i], pads[len(axes) + i]
    return np.pad(x, widths, constant_values=-1) if mode == "constant" else np.pad(x, widths, "edge")


def _depth_to_space(node: ir.Node, x: Array) -> Array | None:
    n, c, h, w = x.shape
    b, dcr = int(attribute(node, "blocksize")), attribute(node, "mode", "DCR") == "DCR"
    split = (n, b, b, c // b**2, h, w) if dcr else (n, c // b**2, b, b, h, w)
    perm = (0, 3, 4, 1, 5, 2) if dcr else (0, 1, 4, 2, 5, 3)
    return x.reshape(split).transpose(perm).reshape(shape(node.outputs[0]))


_MOVES: dict[str, Callable[[ir.Node, Array], Array | None]] = {
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Identity": _reshape,
    "Transpose": _transpose,
    "Slice": _slice,
    "Expand": _expand,
    "Gather": _gather,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
}
