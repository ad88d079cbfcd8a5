"""The same thing is computed once."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def merge_duplicates(model: ir.Model) -> None:
    """Let equal nodes on equal inputs share one result, and equal numbers one initializer.

    Only initializers of one element are compared: layers with equal biases stay apart, as each is
    quantized and corrected on its own.
    """
    common.DeduplicateInitializersPass(size_limit=1)(model)
    common.CommonSubexpressionEliminationPass()(model)
