"""What nothing reads goes."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def drop_unused(model: ir.Model) -> None:
    """Remove nodes, initializers, functions and opset imports that no graph output depends on."""
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]
    common.RemoveUnusedOpsetsPass()(model)
