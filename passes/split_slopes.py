"""A slope for each channel is a scale of each channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, put


def split_slopes(model: ir.Model) -> None:
    """Turn PRelu with several slopes into ``max(x, 0) + slope * min(x, 0)``.

    With one slope it is a scalar function, and stays for ``name_unary``.
    """
    for node in matches(model, "PRelu"):
        source, slopes = operand(node), array(node.inputs[1])
        if slopes is None or slopes.size == 1 or not is_float(source):
            continue
        name, dims = node.outputs[0].name, shape(source)
        zero = constant(model, f"{name}.zero", np.array(0, np.float32))

        def step(op_type: str, part: str, *inputs: ir.Value | None, at: ir.Node = node) -> ir.Value:
            output = at.outputs[0]
            return insert(
                at, op_type, inputs, domain="", name=f"{output.name}.{part}", dtype=ir.DataType.FLOAT,
                dims=shape(output),
            )  # fmt: skip

        assert dims == shape(node.outputs[0]), "slopes are broadcast to the input"
        negative = step("Clip", "negative", source, None, zero)
        put(node, "Add", [step("Relu", "positive", source), step("Mul", "scaled", negative, node.inputs[1])])
