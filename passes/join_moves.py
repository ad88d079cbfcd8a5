"""Moves of moves are one move, and moves that go nowhere none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, matches, set_attribute, shape
from edgegate.passes._integers import add_constant, stand_in
from edgegate.passes._rewrite import operand, put


def join_moves(model: ir.Model) -> None:
    """Let a Reshape of a Reshape, and a Transpose of a Transpose, start where the first one starts.

    A Transpose that moves only axes of size one is a Reshape. What is then an identity goes, and so do a Split
    that undoes a Concat and a Concat that undoes a Split. Elements are moved by none of this, only named.
    """
    for node in matches(model, "Reshape", "Transpose", "Gather", "Split", "Concat"):
        if node.op_type == "Transpose":
            _skip_transpose(node)
        moved = _renamed(model, node) if node.op_type == "Transpose" and _keeps_order(node) else node
        if moved.op_type == "Reshape":
            _skip_reshape(model, moved)
        values = _undone(moved) or _untouched(moved)
        if values:
            stand_in(moved, *values)


def _renamed(model: ir.Model, node: ir.Node) -> ir.Node:
    """A Reshape in the place of a Transpose."""
    dims = add_constant(model, "dims", np.array(shape(node.outputs[0]), np.int64))
    return put(node, "Reshape", [node.inputs[0], dims], {"allowzero": 0})


def _skip_transpose(node: ir.Node) -> None:
    """Read what the Transpose before this one reads."""
    before = operand(node).producer()
    if before is not None and before.op_type == "Transpose" and before.domain == "":
        first, second = attribute(before, "perm"), attribute(node, "perm")
        set_attribute(node, "perm", [int(first[p]) for p in second])
        node.replace_input_with(0, before.inputs[0])


def _keeps_order(node: ir.Node) -> bool:
    """Whether a Transpose leaves the axes that are longer than one in their order, but moves some other."""
    dims, perm = shape(operand(node)), list(attribute(node, "perm"))
    long = [p for p in perm if dims[p] > 1]
    return long == sorted(long) and perm != sorted(perm)


def _skip_reshape(model: ir.Model, node: ir.Node) -> None:
    """Read what the Reshape before this one reads; the target is written out, as 0 would mean another axis."""
    before = operand(node).producer()
    if before is not None and before.op_type == "Reshape" and before.domain == "":
        node.replace_input_with(0, before.inputs[0])
        dims, written = shape(node.outputs[0]), array(node.inputs[1])
        if written is None or tuple(written.tolist()) != dims:
            node.replace_input_with(1, add_constant(model, "dims", np.array(dims, np.int64)))


def _untouched(node: ir.Node) -> list[ir.Value] | None:
    """The input that the node hands on as it is, in a list; or None."""
    source = operand(node)
    same = len(node.outputs) == 1 and shape(source) == shape(node.outputs[0])
    match node.op_type:
        case "Transpose":
            same = list(attribute(node, "perm")) == list(range(len(shape(source))))
        case "Gather":
            indices, size = array(node.inputs[1]), shape(source)[attribute(node, "axis", 0)]
            same = same and indices is not None and np.array_equal(indices % size, np.arange(size))
        case "Concat":
            same = len(node.inputs) == 1
    return [source] if same else None


def _undone(node: ir.Node) -> list[ir.Value] | None:
    """The parts that a Split of their Concat gives back, or the whole that a Concat of its Split does; or None."""
    before = operand(node).producer()
    if before is None or (before.op_type, node.op_type) not in (("Concat", "Split"), ("Split", "Concat")):
        return None
    if node.op_type == "Split":
        parts = [v for v in before.inputs if v is not None]
        return parts if list(map(shape, parts)) == list(map(shape, node.outputs)) else None
    axes = [attribute(n, "axis", 0) % len(shape(operand(n))) for n in (before, node)]
    all_in_order = len(node.inputs) == len(before.outputs) and all(map(_is, node.inputs, before.outputs))
    return [operand(before)] if axes[0] == axes[1] and all_in_order else None


def _is(a: object, b: object) -> bool:
    return a is b
