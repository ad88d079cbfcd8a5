"""Integers that a model takes for numbers, only to compare or to count them, stay integers: what is exact stays so.

transformers sorts the tokens of its experts: it counts them with a histogram, which torch has for floats alone.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, insert, matches, replace, shape
from edgegate.passes.to_threshold import COMPARISONS, MIRRORED

EXACT = 1 << 24
"""Up to here float32 holds every integer, and what is beyond stays beyond when it is rounded."""
INTEGERS = (ir.DataType.INT32, ir.DataType.INT64)
MOVES = ("Reshape", "Transpose", "Gather", "Slice", "Squeeze", "Unsqueeze", "Identity", "Expand")


def whole_numbers(model: ir.Model) -> None:
    """Compare integers with integers, and leave out floats between two integers.

    ``float(i) >= 0.5`` is ``i >= 1``; ``int(float(i))`` is ``i`` where i is known to be small.
    """
    for node in matches(model, *COMPARISONS):
        _compare(model, node)
    for node in matches(model, "Cast"):
        _straight(node)


def _integers(value: ir.Value | None) -> ir.Value | None:
    """The integers that ``value`` has as numbers, behind moves; None if it is something else."""
    node = None if value is None else value.producer()
    if node is None or value is None or (node.domain, node.op_type) != ("", "Cast") or value.dtype != ir.DataType.FLOAT:
        return None
    source = node.inputs[0]
    return source if source is not None and source.dtype in INTEGERS else None


def _compare(model: ir.Model, node: ir.Node) -> None:
    place = 0 if array(node.inputs[1]) is not None else 1
    limits = array(node.inputs[1 - place])
    source = _moved(model, node, node.inputs[place])
    if source is None or source.dtype is None or limits is None or not (np.abs(limits) < EXACT).all():
        return
    kind = MIRRORED[node.op_type] if place else node.op_type
    rounded = (np.ceil if kind in ("GreaterOrEqual", "Less") else np.floor)(limits)
    held = constant(model, f"{node.outputs[0].name}.limit", rounded.astype(source.dtype.numpy()))
    sides = [source, held] if not place else [held, source]
    for index, value in enumerate(sides):
        node.replace_input_with(index, value)


def _moved(model: ir.Model, anchor: ir.Node, value: ir.Value | None) -> ir.Value | None:
    """The integers behind ``value``, with the reshapes that lie between them."""
    dims, inner = None, value
    while (node := None if inner is None else inner.producer()) is not None and not node.domain:
        if node.op_type not in ("Reshape", "Unsqueeze", "Squeeze"):
            break
        dims, inner = shape(value) if value is not None else None, node.inputs[0]
    source = _integers(inner)
    if source is None or dims is None or source.dtype is None:
        return source
    target = constant(model, f"{source.name}.dims", np.array(dims, np.int64))
    return insert(
        anchor, "Reshape", [source, target], {"allowzero": 0}, domain="", name=f"{anchor.outputs[0].name}.whole",
        dtype=source.dtype, dims=dims,
    )  # fmt: skip


def _straight(node: ir.Node) -> None:
    """Leave out the number between two integers."""
    source, output = _integers(node.inputs[0]), node.outputs[0]
    if source is None or output.dtype not in INTEGERS or (reach(source) or EXACT) >= EXACT:
        return
    if source.dtype == output.dtype:
        replace(node, source)
    else:
        node.replace_input_with(0, source)


def reach(value: ir.Value | None) -> int | None:
    """The greatest magnitude that an integer or bool is known to have; None if nothing is known."""
    data = array(value)
    if value is None or data is not None:
        return None if data is None or not data.size else int(np.abs(data.astype(np.float64)).max())
    node = value.producer()
    if value.dtype == ir.DataType.BOOL:
        return 1
    if node is None or node.domain:
        return None
    if node.op_type in ("TopK", "ArgMax", "ArgMin") and value is node.outputs[-1]:
        return _length(node)
    if node.op_type == "ReduceSum":
        return _summed(node, value)
    if node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].dtype in (*INTEGERS, ir.DataType.BOOL):
        return reach(node.inputs[0])
    return reach(node.inputs[0]) if node.op_type in MOVES else None


def _summed(node: ir.Node, value: ir.Value) -> int | None:
    source = node.inputs[0]
    assert source is not None, "a data input is never optional"
    each, count = reach(source), prod(shape(source)) // max(prod(shape(value)), 1)
    return None if each is None else each * count


def _length(node: ir.Node) -> int:
    """Along the axis in which a node looks for places."""
    source = node.inputs[0]
    assert source is not None, "a data input is never optional"
    return shape(source)[int(attribute(node, "axis", -1 if node.op_type == "TopK" else 0))]
