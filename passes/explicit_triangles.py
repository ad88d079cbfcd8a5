"""A triangle of a matrix is a choice: of the matrix where its places are kept, and of zeros elsewhere."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, matches, shape
from edgegate.passes._rewrite import operand, put


def explicit_triangles(model: ir.Model) -> None:
    """Write each Trilu whose diagonal is constant as a Where, or, of bools, as an And."""
    for node in matches(model, "Trilu"):
        x = operand(node)
        diagonal = array(node.inputs[1]) if len(node.inputs) > 1 else np.zeros(1)
        if diagonal is None or x.dtype is None:
            continue
        rows, columns = shape(x)[-2:]
        ahead = np.arange(columns) - np.arange(rows)[:, None]
        place = int(diagonal.reshape(-1)[0])
        kept = constant(
            model, f"{node.outputs[0].name}.kept", ahead >= place if attribute(node, "upper", 1) else ahead <= place
        )
        if x.dtype == ir.DataType.BOOL:
            put(node, "And", [x, kept])
        else:
            nothing = constant(model, f"{node.outputs[0].name}.nothing", np.zeros((), x.dtype.numpy()))
            put(node, "Where", [kept, x, nothing])
