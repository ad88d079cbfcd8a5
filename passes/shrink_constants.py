"""A tensor of equal numbers is one number."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, shape

ELEMENTWISE = frozenset({
    "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
    "Equal",
})  # fmt: skip


def shrink_constants(model: ir.Model) -> None:
    """Let elementwise ops read one number where a constant of the result's own shape holds it again and again.

    So writes ``torch.full_like``; what is left is a function of the other operand. A constant per channel stays, even
    one of equal numbers: it belongs to a layer.
    """
    for node in list(model.graph):
        if node.domain or node.op_type not in ELEMENTWISE or len(node.outputs) != 1:
            continue
        dims = shape(node.outputs[0])
        for index, value in enumerate(node.inputs):
            data = array(value)
            others = [shape(v) for i, v in enumerate(node.inputs) if v is not None and i != index]
            if data is None or value is None or data.shape != dims or sum(d > 1 for d in dims) < 2:
                continue
            if np.broadcast_shapes(*others) == dims and (data == data.flat[0]).all():
                one = constant(model, f"{value.name}.one", data.reshape(-1)[:1].reshape(()))
                node.replace_input_with(index, one)
