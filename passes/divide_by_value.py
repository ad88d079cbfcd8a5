"""A division by a value is a product with its reciprocal."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, put


def divide_by_value(model: ir.Model) -> None:
    """Turn ``x / y`` of two activations into ``x * (1 / y)``.

    The reciprocal is a function of one value, so it joins what makes ``y``, and the product is a gate.
    """
    for node in matches(model, "Div"):
        source, divisor = operand(node), operand(node, 1)
        if array(divisor) is not None or array(source) is not None or not (is_float(source) and is_float(divisor)):
            continue
        name = f"{node.outputs[0].name}.reciprocal"
        dims = shape(divisor)
        factor = insert(node, "Reciprocal", [divisor], domain="", name=name, dtype=ir.DataType.FLOAT, dims=dims)
        put(node, "Mul", [source, factor])
