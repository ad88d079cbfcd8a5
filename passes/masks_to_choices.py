"""What is added to hide scores is a choice."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, operands, put

HIDDEN = -1e4
"""A score that so much is added to is hidden: behind a softmax nothing is left of it."""


def masks_to_choices(model: ir.Model) -> None:
    """Turn ``x + bias``, ``bias`` 0 or a very negative number as a condition says, into ``Where(condition, x, bias)``.

    So are masks written that are computed at run time: ``Where(kept, 0, -inf)``, ``(1 - present) * -1e9``, whose
    ``present`` is 0 or 1. Integers have no place for numbers so large beside scores.
    """
    for node in matches(model, "Add"):
        for side in (0, 1):
            x, bias = operand(node, side), operand(node, 1 - side)
            found = _condition(model, node, bias) if is_float(x) and array(bias) is None else None
            if found is not None and array(x) is None and shape(x) == shape(node.outputs[0]):
                hidden = constant(model, f"{node.outputs[0].name}.hidden", np.array(-1e9, np.float32))
                put(node, "Where", [found, x, hidden])
                break


def _condition(model: ir.Model, node: ir.Node, bias: ir.Value) -> ir.Value | None:
    """True where the bias is 0, false where it hides; None where it is no such thing."""
    maker, moved = bias.producer(), False
    while maker is not None and maker.op_type in ("Reshape", "Unsqueeze", "Squeeze") and not maker.domain:
        maker, moved = operand(maker).producer(), True
    if maker is None or maker.domain:
        return None
    if maker.op_type == "Where":
        opens = _opens(array(operand(maker, 1)), array(operand(maker, 2)))
        return operand(maker) if opens and not moved else None
    flags = _flags(maker) if maker.op_type == "Mul" else None
    if flags is None:
        return None
    present, op = flags
    name, dims = f"{node.outputs[0].name}.kept", shape(bias)
    if shape(present) != dims:
        target = constant(model, f"{name}.shape", np.array(dims, np.int64))
        present = insert(
            node, "Reshape", [present, target], domain="", name=f"{name}.flags", dtype=ir.DataType.FLOAT, dims=dims
        )  # fmt: skip
    half = constant(model, f"{name}.half", np.array(0.5, np.float32))
    return insert(node, op, [present, half], domain="", name=name, dtype=ir.DataType.BOOL, dims=dims)


def _opens(kept: Array | None, other: Array | None) -> bool:
    """Whether a Where adds nothing to what it keeps, and hides the rest."""
    return kept is not None and other is not None and not kept.any() and bool((other <= HIDDEN).all())


def _flags(product: ir.Node) -> tuple[ir.Value, str] | None:
    """The zeros and ones that a product hides by, and how what is kept compares with a half."""
    found = operands(product)
    if found is None or found[1].size != 1 or abs(float(found[1].reshape(()))) < -HIDDEN:
        return None
    flags, large = found[0], float(found[1].reshape(()))
    maker = flags.producer()
    if maker is None or maker.op_type != "Sub" or maker.domain:
        return (flags, "Less") if large < 0 else None
    one = [_is_one(v) for v in maker.inputs]
    if one[0] and large < 0:
        return operand(maker, 1), "Greater"
    return (operand(maker), "Greater") if one[1] and large > 0 else None


def _is_one(value: ir.Value | None) -> bool:
    data = array(value)
    return data is not None and bool((data == 1).all())
