"""Arithmetic broadcasts by itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, matches, shape
from edgegate.passes._rewrite import operand

_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Where")


def skip_expand(model: ir.Model) -> None:
    """Let arithmetic read what is before an Expand, where its result keeps its shape.

    A gate that was expanded by hand so shows how few numbers it has. An expanded constant is as good.
    """
    for node in matches(model, "Expand"):
        source = operand(node)
        for user, index in tuple(node.outputs[0].uses()):
            if user.domain == "" and user.op_type in _BROADCASTING and _keeps_shape(user, index, source):
                user.replace_input_with(index, source)


def _keeps_shape(user: ir.Node, index: int, source: ir.Value) -> bool:
    others = [v for i, v in enumerate(user.inputs) if i != index and v is not None]
    if all(array(v) is not None for v in others):
        return False  # the shape would hang on a constant
    return np.broadcast_shapes(shape(source), *map(shape, others)) == shape(user.outputs[0])
