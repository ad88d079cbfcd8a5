"""One op changes shapes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import constant, matches, shape
from edgegate.passes._rewrite import operand, put


def explicit_shapes(model: ir.Model) -> None:
    """Turn Flatten, Squeeze, Unsqueeze and Reshape into Reshape to a constant shape without 0 or -1.

    A Reshape of a Reshape reads through it: only the last shape counts.
    """
    for node in matches(model, "Flatten", "Squeeze", "Unsqueeze", "Reshape"):
        source, output = operand(node), node.outputs[0]
        dims = constant(model, f"{output.name}.shape", np.array(shape(output), np.int64))
        put(node, "Reshape", [_before_reshapes(source), dims])


def _before_reshapes(value: ir.Value) -> ir.Value:
    producer = value.producer()
    if producer is None or producer.domain or producer.op_type != "Reshape" or producer.inputs[0] is None:
        return value
    return producer.inputs[0]
