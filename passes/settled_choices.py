"""A choice that is always the same is none."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, matches, replace, shape
from edgegate.passes._rewrite import operand


def settled_choices(model: ir.Model) -> None:
    """Remove every Where whose condition is constant and the same everywhere, if what it picks has its shape.

    ONNX's Attention ends with one: a row of which nothing is kept becomes zeros.
    """
    for node in matches(model, "Where"):
        condition = array(node.inputs[0])
        if condition is None or condition.size == 0 or condition.any() != condition.all():
            continue
        picked = operand(node, 1 if condition.all() else 2)
        if shape(picked) == shape(node.outputs[0]) and array(picked) is None and not picked.is_graph_input():
            replace(node, picked)
