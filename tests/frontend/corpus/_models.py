"""Small ONNX models, unchecked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.frontend.corpus._table import (
    Maker,
    put,
)


def model(
    nodes: list[Any],
    initializers: list[Any] | None = None,
    functions: list[Any] | None = None,
    dims: Any = (1, 4),
) -> onnx.ModelProto:
    """``nodes`` from input x to output y, unchecked."""
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("m", "n"))],
        initializers or [],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    return helper.make_model(body, opset_imports=opsets, functions=functions or [], ir_version=10)


def written(make: Callable[[], onnx.ModelProto]) -> Maker:
    return lambda folder: put(folder, make().SerializeToString())


def tensor(dims: tuple[int, ...], raw: bytes, dtype: int = TensorProto.FLOAT) -> TensorProto:
    return TensorProto(name="w", dims=dims, raw_data=raw, data_type=dtype)  # type: ignore[call-arg]


def adding(weights: TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [weights])
