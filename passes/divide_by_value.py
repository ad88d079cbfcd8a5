"""A division by a function of one value is a product with its reciprocal."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, insert, matches, shape
from edgegate.passes._chains import activations, is_scalar
from edgegate.passes._rewrite import is_float, operand, put

LINES = ("Add", "Sub", "Mul", "Neg", "Clip", "Relu", "Max", "Min", "Identity")
"""What keeps the spread of what it reads, if all else that it reads is constant."""


def divide_by_value(model: ir.Model) -> None:
    """Turn ``x / f(z)``, ``f`` a function of single numbers, into ``x * (1 / f(z))``.

    The reciprocal joins what makes the divisor in one table, and the product is a gate. Any other quotient stays a
    Div, which has an integer form of its own: a table of ``1 / y`` alone is coarse where ``y`` is small. So is that of
    ``1 / (y + 1e-5)``, which is how the sums of linear attention are kept from zero.
    """
    for node in matches(model, "Div"):
        source, divisor = operand(node), operand(node, 1)
        if array(divisor) is not None or array(source) is not None or not (is_float(source) and is_float(divisor)):
            continue
        maker = divisor.producer()
        if maker is None or not is_scalar(maker) or len(set(activations(maker))) > 1 or _is_straight(maker):
            continue
        name = f"{node.outputs[0].name}.reciprocal"
        dims = shape(divisor)
        factor = insert(node, "Reciprocal", [divisor], domain="", name=name, dtype=ir.DataType.FLOAT, dims=dims)
        put(node, "Mul", [source, factor])


def _is_straight(node: ir.Node | None) -> bool:
    """Whether the node, and all scalar functions in front of it, do no more than shift, scale and clip."""
    while node is not None and is_scalar(node):
        inputs = activations(node)
        if node.op_type not in LINES or len(inputs) != 1:
            return False
        node = inputs[0].producer()
    return True
