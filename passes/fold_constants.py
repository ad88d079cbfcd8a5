"""What does not depend on the input is computed now."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnxscript.optimizer import fold_constants as fold

from edgegate.graph import array, attribute, constant, matches, replace, shape

LIMIT = 1 << 24
"""Most elements of a folded constant: a small file must not become a huge model."""


def fold_constants(model: ir.Model) -> None:
    """Compute nodes whose inputs are all constant (onnxscript's folding), up to a size per result.

    The budget counts the declared result, before anything is computed. A Split, which onnxscript leaves alone for its
    several outputs, becomes its parts.
    """
    fold(model, input_size_limit=LIMIT, output_size_limit=LIMIT, should_fold=_refuse)
    while _cut(model):
        fold(model, input_size_limit=LIMIT, output_size_limit=LIMIT, should_fold=_refuse)


def _cut(model: ir.Model) -> bool:
    """Put the parts of constants in the place of each Split of one; whether there was any."""
    found = False
    for node in matches(model, "Split"):
        data = array(node.inputs[0])
        if data is None or data.size > LIMIT or any(v.is_graph_output() for v in node.outputs):
            continue
        axis = int(attribute(node, "axis", 0))
        sizes = [shape(v)[axis] for v in node.outputs]
        parts = np.split(data, np.cumsum(sizes)[:-1], axis)
        names = [str(v.name) for v in node.outputs]
        replace(node, *[constant(model, f"{name}.part", part) for name, part in zip(names, parts, strict=True)])
        found = True
    return found


def _refuse(node: ir.Node) -> bool | None:
    """False for a node not to fold; None leaves it to onnxscript, which spares quantizers, say."""
    try:
        sizes = [math.prod(shape(v)) for v in node.outputs]
    except ValueError:
        return False
    return None if sum(sizes) <= LIMIT else False
