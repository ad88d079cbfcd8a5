"""The minus in what is joined goes into a factor behind it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, constant, insert, matches, only_user, shape
from edgegate.passes._rewrite import operand, operands, put, revise


def signs_to_factors(model: ir.Model) -> None:
    """Turn ``Concat(-a, b)`` into ``Concat(a, b)`` times -1 and 1, in the constant that multiplies it if there is one.

    So are rotary positions written, ``x * cos + concat(-x2, x1) * sin``: Su et al., "RoFormer", 2021, equation 34. A
    part stored as its negative would be rounded once more.
    """
    for node in matches(model, "Concat"):
        parts = [_negated(operand(node, i)) for i in range(len(node.inputs))]
        if any(p is not None for p in parts):
            _move(model, node, parts)


def _negated(value: ir.Value) -> ir.Value | None:
    """What ``value`` is the negative of."""
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type == "Neg":
        return node.inputs[0]
    found = operands(node) if node.op_type == "Mul" else None
    return found[0] if found is not None and found[1].size == 1 and float(found[1].reshape(())) == -1 else None


def _move(model: ir.Model, node: ir.Node, parts: list[ir.Value | None]) -> None:
    output, axis = node.outputs[0], int(attribute(node, "axis"))
    kept = [operand(node, i) if p is None else p for i, p in enumerate(parts)]
    signs = np.concatenate([np.full(shape(v)[axis], 1 if p is None else -1) for v, p in zip(kept, parts, strict=True)])
    factor = signs.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(len(shape(output)))])
    user = only_user(output)
    other = None if user is None or user.op_type != "Mul" or user.domain else operands(user)
    if user is not None and other is not None and shape(user.outputs[0]) == shape(output):
        index = next(i for i, v in enumerate(user.inputs) if v is not output)
        revise(model, user, index, other[1] * factor)
        put(node, "Concat", kept, {"axis": axis})
        return
    name = output.name
    joined = insert(
        node, "Concat", kept, {"axis": axis}, domain="", name=f"{name}.joined", dtype=ir.DataType.FLOAT,
        dims=shape(output),
    )  # fmt: skip
    put(node, "Mul", [joined, constant(model, f"{name}.signs", factor)])
