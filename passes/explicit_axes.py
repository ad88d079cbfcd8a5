"""Axes, sizes and ranges are written out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, matches, set_attribute, shape
from edgegate.passes._rewrite import operand, put

_AXIS = {
    "Concat": 0, "Gather": 0, "Split": 0, "ArgMax": 0, "ArgMin": 0, "Softmax": -1, "LogSoftmax": -1,
    "TopK": -1, "LayerNormalization": -1,
}  # fmt: skip
"""Ops with an ``axis``, and what ONNX takes where it is left out."""
_REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2")


def explicit_axes(model: ir.Model) -> None:
    """Write out axes (not negative), the sizes of Split, and the ranges of Slice.

    ``Transpose.perm`` is there. Reductions have their axes as a sorted constant input and ``keepdims`` as
    an attribute. Split has a constant of sizes. Slice has all five inputs, constant, with starts and ends
    inside the value; one that is not constant, or steps backwards, stays as it is.
    """
    for node in matches(model, *_AXIS):
        rank = len(shape(operand(node)))
        set_attribute(node, "axis", attribute(node, "axis", _AXIS[node.op_type]) % rank)
    for node in matches(model, "Transpose"):
        perm = attribute(node, "perm", range(len(shape(operand(node))))[::-1])
        set_attribute(node, "perm", [int(i) for i in perm])
    for node in matches(model, "Split"):
        _split(model, node)
    for node in matches(model, *_REDUCTIONS):
        _reduction(model, node)
    for node in matches(model, "Slice"):
        _slice(model, node)


def _split(model: ir.Model, node: ir.Node) -> None:
    node.attributes.pop("num_outputs", None)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return
    sizes = [shape(v)[attribute(node, "axis")] for v in node.outputs]
    node.resize_inputs(2)
    node.replace_input_with(1, constant(model, f"{operand(node).name}.split", np.array(sizes, np.int64)))


def _reduction(model: ir.Model, node: ir.Node) -> None:
    rank = len(shape(operand(node)))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    data = array(given)
    if given is not None and data is None:
        return
    axes = [] if data is None else sorted({int(a) % rank for a in data.reshape(-1)})
    if not axes and attribute(node, "noop_with_empty_axes", 0):
        return
    wanted = constant(model, f"{node.outputs[0].name}.axes", np.array(axes or range(rank), np.int64))
    put(node, node.op_type, [operand(node), wanted], {"keepdims": attribute(node, "keepdims", 1)})


def _slice(model: ir.Model, node: ir.Node) -> None:
    ranges = _ranges(node)
    if ranges is None:
        return
    name = node.outputs[0].name
    parts = zip(("starts", "ends", "axes", "steps"), ranges, strict=True)
    inputs = [constant(model, f"{name}.{part}", np.array(data, np.int64)) for part, data in parts]
    put(node, "Slice", [operand(node), *inputs])


def _ranges(node: ir.Node) -> tuple[Sequence[int], ...] | None:
    """Starts, ends, axes and steps as ONNX reads them; None where they are not constant or go backwards."""
    dims = shape(operand(node))
    first, last = array(operand(node, 1)), array(operand(node, 2))
    if first is None or last is None:
        return None
    axes, steps = _option(node, 3, np.arange(first.size)), _option(node, 4, np.ones(first.size, np.int64))
    if axes is None or steps is None or min(steps, default=1) < 1:
        return None
    axes = [a % len(dims) for a in axes]
    limits = [dims[a] for a in axes]
    starts = [_inside(int(s), d) for s, d in zip(first, limits, strict=True)]
    ends = [max(_inside(int(e), d), s) for e, d, s in zip(last, limits, starts, strict=True)]
    return starts, ends, axes, steps


def _option(node: ir.Node, index: int, default: Array) -> list[int] | None:
    """A constant input, or the default where it is left out; None where it is not constant."""
    value = node.inputs[index] if len(node.inputs) > index else None
    data = default if value is None else array(value)
    return None if data is None else [int(v) for v in data]


def _inside(at: int, size: int) -> int:
    return min(max(at + size if at < 0 else at, 0), size)
