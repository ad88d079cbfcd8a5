"""Sums of squares, and what is made of them, are written as a product, a sum and a root."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import attribute, insert, matches, replace, shape

TYPES = ("ReduceL1", "ReduceL2", "ReduceSumSquare")


def explicit_reductions(model: ir.Model) -> None:
    """Write ReduceL1, ReduceL2 and ReduceSumSquare as sums; norms that divide by them have been found before."""
    for node in matches(model, *TYPES):
        x, output = node.inputs[0], node.outputs[0]
        assert x is not None, "a data input is never optional"
        name, kind, dims = str(output.name), x.dtype, shape(x)
        assert kind is not None, "every value has a type"
        if node.op_type == "ReduceL1":
            each = insert(node, "Abs", [x], domain="", name=f"{name}.each", dtype=kind, dims=dims)
        else:
            each = insert(node, "Mul", [x, x], domain="", name=f"{name}.each", dtype=kind, dims=dims)
        settings = {key: attribute(node, key) for key in node.attributes}
        total = insert(
            node, "ReduceSum", [each, *node.inputs[1:]], settings, domain="", name=f"{name}.sum", dtype=kind,
            dims=shape(output),
        )  # fmt: skip
        if node.op_type == "ReduceL2":
            total = insert(node, "Sqrt", [total], domain="", name=f"{name}.root", dtype=kind, dims=shape(output))
        replace(node, total)
