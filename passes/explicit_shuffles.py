"""A shuffle of channels and places is a Transpose between two Reshapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import operand, put


def explicit_shuffles(model: ir.Model) -> None:
    """Write out DepthToSpace (both modes) and SpaceToDepth of images."""
    for node in matches(model, "DepthToSpace", "SpaceToDepth"):
        n, c, h, w = shape(operand(node))
        b = int(attribute(node, "blocksize"))
        if node.op_type == "SpaceToDepth":
            shuffle(model, node, operand(node), (n, c, h // b, b, w // b, b), (0, 3, 5, 1, 2, 4))
        elif attribute(node, "mode", "DCR") == "CRD":
            shuffle(model, node, operand(node), (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3))
        else:
            shuffle(model, node, operand(node), (n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2))


def shuffle(model: ir.Model, node: ir.Node, source: ir.Value, parts: Sequence[int], perm: Sequence[int]) -> None:
    """Put Reshape to ``parts``, Transpose by ``perm`` and Reshape to the output's shape in the place of ``node``."""
    output = node.outputs[0]
    assert source.dtype is not None, "values have a dtype"
    value = source
    for part, op_type, dims in (("parts", "Reshape", parts), ("moved", "Transpose", [parts[p] for p in perm])):
        more = [constant(model, f"{output.name}.{part}.shape", np.array(dims, np.int64))] if part == "parts" else []
        value = insert(
            node, op_type, [value, *more], {"perm": list(perm)} if not more else {}, domain="",
            name=f"{output.name}.{part}", dtype=source.dtype, dims=dims,
        )  # fmt: skip
    put(node, "Reshape", [value, constant(model, f"{output.name}.shape", np.array(shape(output), np.int64))])
