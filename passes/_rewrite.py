"""Moves that several passes make, on top of those in :mod:`edgegate.graph`.

Both keep the name of the value that stays: quantization schemes speak of values by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, insert, replace, shape


def put(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    domain: str = "",
) -> ir.Node:
    """Put a new node in the place of ``node``, which has one output: same name, dtype and shape."""
    old = node.outputs[0]
    assert old.name is not None, "values have names"
    assert old.dtype is not None, f"{old.name} has no dtype"
    value = insert(node, op_type, inputs, attributes, domain=domain, name=old.name, dtype=old.dtype, dims=shape(old))
    replace(node, value)
    made = value.producer()
    assert made is not None
    return made


def absorb(node: ir.Node, into: ir.Node) -> None:
    """Remove ``node``, because ``into``, the node before it and read by it alone, now makes its output."""
    old, new = node.outputs[0], into.outputs[0]
    name = old.name
    replace(node, new)
    new.name, new.shape = name, old.shape


def revise(model: ir.Model, node: ir.Node, index: int, data: Array) -> None:
    """Give ``node`` the constant ``data`` (stored as float32) as input ``index``.

    The constant that stood there keeps its name if this node was its only reader; other readers keep it.
    """
    old = operand(node, index)
    assert old.name is not None, "values have names"
    name = old.name
    if len(old.uses()) == 1 and not old.is_graph_output():
        node.replace_input_with(index, None)
        del model.graph.initializers[name]
    node.replace_input_with(index, constant(model, name, data.astype(np.float32)))


def operand(node: ir.Node, index: int = 0) -> ir.Value:
    """An input that ONNX does not let the node leave out."""
    value = node.inputs[index]
    assert value is not None, f"{node.op_type} without its input {index}"
    return value


def operands(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """The activation and the constant of a node with one of each, in any order; None for other nodes."""
    if len(node.inputs) != 2 or None in node.inputs:
        return None
    first, second = operand(node, 0), operand(node, 1)
    a, b = array(first), array(second)
    if a is None and b is not None:
        return first, b
    return (second, a) if a is not None and b is None else None


def is_float(value: ir.Value | None) -> bool:
    """Whether the value is a float32 tensor, the only dtype the float passes rewrite."""
    return value is not None and value.dtype == ir.DataType.FLOAT
