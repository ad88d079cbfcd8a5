"""Equal constants are one constant, equal nodes one node."""

from __future__ import annotations

import sys

import onnx_ir as ir
from onnx_ir.passes import common

from edgegate.passes._integers import stand_in


def share_equal(model: ir.Model) -> None:
    """Keep one of the initializers with equal type, shape and bytes, and one of the nodes that do the same.

    Two nodes do the same if op, attributes and inputs are equal, and every op of the table is a function of
    those. Unlike in the float graph, layers with equal weights may share them: they are stored already. Two
    graph outputs stay two nodes.
    """
    common.DeduplicateInitializersPass(size_limit=sys.maxsize)(model)
    met: dict[object, ir.Node] = {}
    for node in list(model.graph):
        first = met.setdefault(_meaning(node), node)
        if first is not node:
            stand_in(node, *first.outputs)


def _meaning(node: ir.Node) -> object:
    """What decides about the node's results: equal for two nodes that have the same."""
    attributes = sorted((a.name, a.type, str(a.value)) for a in node.attributes.values())
    return node.op_identifier(), len(node.outputs), tuple(map(id, node.inputs)), tuple(attributes)
