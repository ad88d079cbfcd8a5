"""Constants have one form."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def lift_constants(model: ir.Model) -> None:
    """Turn every Constant node into an initializer, so that passes look for constants in one place."""
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    for name, value in model.graph.initializers.items():
        if value.const_value is not None:
            value.const_value.name = name  # those made of numbers in attributes have none
