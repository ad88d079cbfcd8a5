"""What the passes on the integer graph share."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, constant, replace, shape
from edgegate.passes._rewrite import operand

BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
"""The types that a table of 256 entries can index."""


def stand_in(node: ir.Node, *values: ir.Value) -> bool:
    """Let ``values`` stand for the node's outputs and remove it; False if a graph output would lose its name.

    A graph output is the output of a node, and two of them are two values.
    """
    named = [new for new, old in zip(values, node.outputs, strict=True) if old.is_graph_output()]
    if len(set(named)) < len(named) or any(v.producer() is None or v.is_graph_output() for v in named):
        return False
    replace(node, *values)
    return True


def is_own(node: ir.Node | None, *op_types: str) -> bool:
    """Whether the node is one of these ops of the project's domain."""
    return node is not None and node.domain == DOMAIN and node.op_type in op_types


def unique(model: ir.Model, name: str) -> str:
    """``name``, with a number if a value of the graph has it."""
    made = {v.name for node in model.graph for v in node.outputs}
    taken = made | {v.name for v in model.graph.inputs} | set(model.graph.initializers)
    candidate, n = name, 0
    while candidate in taken:
        n += 1
        candidate = f"{name}_{n}"
    return candidate


def add_constant(model: ir.Model, name: str, data: Array) -> ir.Value:
    """A new initializer that no value of the graph shares its name with."""
    return constant(model, unique(model, name), data)


def one_scale(node: ir.Node) -> tuple[int, int] | None:
    """Multiplier and shift of a Rescale that treats every channel alike and keeps the shape; None for others."""
    multiplier, shift = (array(v) for v in node.inputs[1:3])
    if multiplier is None or shift is None or shape(operand(node)) != shape(node.outputs[0]):
        return None
    pairs = np.stack(np.broadcast_arrays(multiplier.reshape(-1), shift.reshape(-1)))
    alike = bool((pairs == pairs[:, :1]).all())
    return (int(pairs[0, 0]), int(pairs[1, 0])) if alike else None


def only_clips(node: ir.Node) -> bool:
    """Whether a Rescale hands on every value within its bounds: factor 1, and one zero point on both sides."""
    unmoved = attribute(node, "input_zero_point") == attribute(node, "output_zero_point")
    pair = one_scale(node)
    return unmoved and pair is not None and pair[0] == 1 << pair[1]
