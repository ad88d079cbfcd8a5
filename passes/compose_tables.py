"""A function of a function of a byte is a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute
from edgegate.ops import OPS
from edgegate.passes._integers import BYTES, add_constant, is_own, one_scale
from edgegate.passes._rewrite import operand, put

STORED = (*BYTES, ir.DataType.INT16)
"""The types that entries of a table can have."""


def compose_tables(model: ir.Model) -> None:
    """Make one Table of two that follow each other, and of a Table and the Rescale (or clip) on either side of it.

    The first of the two reads bytes, of which there are 256, so the references tell every entry. All that reads
    the value in between must become a table: the value goes, and there is no more work than before. Two Rescales
    stay as they are, since no table is as fast as their arithmetic.
    """
    waiting = list(model.graph)
    while waiting:
        first = waiting.pop()
        if first.graph is not None and _reads_bytes(first):
            waiting += _into_readers(model, first)


def _reads_bytes(node: ir.Node) -> bool:
    return _is_map(node) and operand(node).dtype in BYTES


def _into_readers(model: ir.Model, first: ir.Node) -> list[ir.Node]:
    """The Tables that take the place of ``first`` and its readers; none if a reader must read what it read."""
    middle = first.outputs[0]
    readers = list({id(n): n for n, _ in middle.uses()}.values())
    if middle.is_graph_output() or not readers or not all(_becomes_table(first, second) for second in readers):
        return []
    made = [_compose(model, first, second) for second in readers]
    model.graph.remove(first, safe=True)
    return made


def _becomes_table(first: ir.Node, second: ir.Node) -> bool:
    """Whether one of the two maps is a Table already, and a Table can hold their results."""
    both = _is_map(second) and "Table" in (first.op_type, second.op_type)
    return both and second.outputs[0].dtype in STORED


def _is_map(node: ir.Node) -> bool:
    """Whether each element of the result is one function, with constants inside, of the same element of the input."""
    if is_own(node, "Rescale"):
        return one_scale(node) is not None
    return is_own(node, "Table") and array(node.inputs[1]) is not None and _offset(operand(node)) == _base(node)


def _base(node: ir.Node) -> int:
    return int(attribute(node, "offset"))


def _offset(value: ir.Value) -> int:
    """Where the table entry of 0 lies for a value of this type."""
    return 128 if value.dtype == ir.DataType.INT8 else 0


def _compose(model: ir.Model, first: ir.Node, second: ir.Node) -> ir.Node:
    """Put a Table of both in the place of ``second``."""
    source = operand(first)
    assert source.dtype is not None, "every value of an integer model has a type"
    offset = _offset(source)
    every = np.arange(-offset, 256 - offset).astype(source.dtype.numpy())
    entries = add_constant(model, f"{second.outputs[0].name}.table", _apply(second, _apply(first, every)))
    return put(second, "Table", [source, entries], {"offset": offset}, domain=DOMAIN)


def _apply(node: ir.Node, x: Array) -> Any:
    """What the op's reference makes of ``x``, in the node's place."""
    constants: list[Any] = [array(v) for v in node.inputs[1:]]
    if node.op_type == "Rescale":
        constants = [c.reshape(-1)[:1] for c in constants]  # the same for every channel
    return OPS[node.domain, node.op_type].reference(x, *constants, **{a: attribute(node, a) for a in node.attributes})
