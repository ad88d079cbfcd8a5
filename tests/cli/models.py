"""Small model files for the command, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

GATED = """g (float[N, 4] x) => (float[N, 2] y) <
    float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[4,2] v = {1, -1, 1, -1, 2, 2, 3, 3}
> { a = MatMul(x, w) b = MatMul(x, v) s = Sigmoid(b) y = Mul(a, s) }"""
"""A gated linear unit."""


def write(path: Path, text: str = GATED, **weights: Any) -> None:
    """``text`` as an .onnx file, some of its initializers replaced by arrays."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]>\n{text}')
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights[tensor.name], tensor.name))
    path.write_bytes(model.SerializeToString())
