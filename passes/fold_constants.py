"""What does not depend on the input is computed now."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnxscript.optimizer import fold_constants as fold

from edgegate.graph import shape

LIMIT = 1 << 24
"""Most elements of a folded constant: a small file must not become a huge model."""


def fold_constants(model: ir.Model) -> None:
    """Compute nodes whose inputs are all constant (onnxscript's folding), up to a size per result.

    The budget counts the declared result, before anything is computed.
    """
    fold(model, input_size_limit=LIMIT, output_size_limit=LIMIT, should_fold=_refuse)


def _refuse(node: ir.Node) -> bool | None:
    """False for a node not to fold; None leaves it to onnxscript, which spares quantizers, say."""
    try:
        sizes = [math.prod(shape(v)) for v in node.outputs]
    except ValueError:
        return False
    return None if sum(sizes) <= LIMIT else False
