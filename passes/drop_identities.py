"""Nodes that hand on what they get."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, attribute, replace, shape

_SAME_SHAPE = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile")
"""Moves that are an identity when they leave the shape alone."""
_SINGLE = ("Concat", "Sum", "Max", "Min", "Mean")
"""Ops of any number of inputs that are an identity of one."""


def drop_identities(model: ir.Model) -> None:
    """Remove Identity, Dropout (at inference), and casts and moves that change nothing."""
    for node in list(model.graph):
        source = node.inputs[0] if node.inputs else None
        if source is not None and node.domain == "" and _is_identity(node, source) and _may_go(node, source):
            replace(node, *[source] * len(node.outputs))


def _is_identity(node: ir.Node, source: ir.Value) -> bool:
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return False
    match node.op_type:
        case "Identity":
            return True
        case "Dropout":
            return not _trains(node)
        case "Cast":
            return source.dtype == attribute(node, "to")
        case "Resize":
            mode = attribute(node, "coordinate_transformation_mode", "half_pixel")
            return _same_shape(node, source) and not mode.startswith("tf_crop")
        case "Transpose":
            rank = len(shape(source))
            return tuple(attribute(node, "perm", range(rank)[::-1])) == tuple(range(rank))
        case _:
            return _moves_nothing(node, source)


def _moves_nothing(node: ir.Node, source: ir.Value) -> bool:
    if node.op_type in _SAME_SHAPE or (node.op_type == "Split" and len(node.outputs) == 1):
        return _same_shape(node, source)
    if node.op_type in _SINGLE:
        return len(node.inputs) == 1
    if node.op_type == "Pad":
        pads = array(node.inputs[1])
        return pads is not None and not pads.any()
    return node.op_type == "Slice" and _same_shape(node, source) and not _turns(node)


def _turns(node: ir.Node) -> bool:
    """Whether a Slice may step backwards."""
    given = node.inputs[4] if len(node.inputs) > 4 else None
    steps = array(given)
    return given is not None and (steps is None or bool((steps < 0).any()))


def _same_shape(node: ir.Node, source: ir.Value) -> bool:
    return shape(node.outputs[0]) == shape(source)


def _trains(node: ir.Node) -> bool:
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    data = array(mode)
    return mode is not None and (data is None or bool(data))


def _may_go(node: ir.Node, source: ir.Value) -> bool:
    """A graph output needs a node of its own: its value has one name, and is no input or constant."""
    return not node.outputs[0].is_graph_output() or (source.producer() is not None and not source.is_graph_output())
