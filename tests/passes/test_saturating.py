"""Inputs of which one step is past the ends of the output: they saturate it, in integers as in numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, stages
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage

CHOICE = "<bool[8] c = {1, 1, 1, 1, 1, 1, 0, 0}> { y = Where (c, x, z) }"
X = np.array([[-100, -1, 0, 1, 5, 127, 9, 9]], np.float32)
Z = np.array([[0, 1, -2, 3, -4, 5, -6, 7]], np.float32)


@pytest.mark.parametrize("target", ["int8", "int16"])
@pytest.mark.parametrize("source", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("body", [CHOICE, "{ y = Add (x, z) }", "{ y = Sub (z, x) }", "{ y = Max (x, z) }"])
@pytest.mark.parametrize("coarse", [1.0, 2.0**20, 2.0**60])
def test_one_step_is_past_the_ends(body: str, source: str, target: str, coarse: float) -> None:
    text = f'<ir_version: 10, opset_import: ["": 21]> g (float[1, 8] x, float[1, 8] z) => (float[1, 8] y) {body}'
    model, fine = ir.from_onnx_text(text), 2.0**-20
    zero = 100 if source == "uint8" else 0
    to_integer(
        Scheme(
            values={
                "x": Storage(dtype=source, scale=coarse, zero_point=zero),
                "z": Storage(dtype=target, scale=fine),
                "y": Storage(dtype=target, scale=fine),
            }
        )
    )(model)
    stages.integer(model)
    stages.prove(model)
    (found,) = interpreter.run(model, {"x": X * coarse, "z": Z * fine}).values()
    x, z, top = X.astype(np.float64) * coarse, Z.astype(np.float64) * fine, np.iinfo(target).max * fine
    wanted = {"W": np.where([1] * 6 + [0] * 2, x, z), "A": x + z, "S": z - x, "M": np.maximum(x, z)}[
        body.split("= ")[-1][0]
    ]
    np.testing.assert_array_equal(np.clip(found, -top, top), np.clip(wanted, -top, top))
