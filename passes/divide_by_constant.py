"""A division by a constant is a multiplication."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, matches
from edgegate.passes._rewrite import is_float, put


def divide_by_constant(model: ir.Model) -> None:
    """Turn ``x / c`` into ``x * (1 / c)``, with the reciprocal taken in float64, where it is finite."""
    for node in matches(model, "Div"):
        source, divisor = node.inputs
        data = array(divisor)
        if data is None or not is_float(source) or array(source) is not None:
            continue
        with np.errstate(all="ignore"):
            factor = (1 / data.astype(np.float64)).astype(np.float32)
        if np.isfinite(factor).all():
            put(node, "Mul", [source, constant(model, f"{node.outputs[0].name}.factor", factor)])
