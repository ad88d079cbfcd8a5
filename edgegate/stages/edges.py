"""The edges of an integer model: the nodes that convert between the user's float numbers and stored integers.

A float input meets QuantizeLinear, Enter where it is a state of 24 bits, or Threshold where bits are made of it; a
float output comes from DequantizeLinear or, where it counts bits, from Scores. Nothing else may touch a float value.
"""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import DOMAIN

ENTRIES = {"QuantizeLinear": "", "Enter": DOMAIN, "Threshold": DOMAIN}
"""Edges of inputs: op types and their domains."""
EXITS = {"DequantizeLinear": "", "Scores": DOMAIN}
"""Edges of outputs."""


def is_edge(node: ir.Node) -> bool:
    """Whether the node converts between float and stored integers."""
    if {**ENTRIES, **EXITS}.get(node.op_type) != node.domain:
        return False
    return node.op_type != "Threshold" or (node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.FLOAT)


def is_entry(node: ir.Node) -> bool:
    """Whether the node stores a float input."""
    return is_edge(node) and node.op_type in ENTRIES
