"""ONNX models of one recurrent node with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
SAMPLES = 50


def node(
    op: str, *, steps: int = SAMPLES, batch: int = 2, size: int = 12, hidden: int = 16, direction: str = "forward",
    bias: bool = True, initial: bool = False, peepholes: bool = False, **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    """A model x [T, B, I] -> y, and the last states, of one node; its weights are those of a fresh torch module."""
    rng = np.random.default_rng(len(str(attributes)))
    ways, gates = 1 + (direction == "bidirectional"), GATES[op]

    def weights(*dims: int) -> np.ndarray:
        return (rng.uniform(-1, 1, dims) / np.sqrt(hidden)).astype(np.float32)

    data = {"w": weights(ways, gates * hidden, size), "r": weights(ways, gates * hidden, hidden)}
    data |= {"b": weights(ways, 2 * gates * hidden)} if bias else {}
    given = [f"{s}0" for s in ("h", "c")[: 1 + (op == "LSTM")]]
    data |= {name: weights(ways, batch, hidden) for name in given} if initial else {}
    data |= {"p": weights(ways, 3 * hidden)} if peepholes else {}
    inputs = ["x", *(n if n in data else "" for n in ("w", "r", "b", "", *given, *["p"] * (op == "LSTM")))]
    outputs = ["y", *(f"{n[0]}n" for n in given)]
    dims = [[steps, ways, batch, hidden], *[[ways, batch, hidden]] * len(given)]
    made = helper.make_node(op, inputs, outputs, hidden_size=hidden, direction=direction, **attributes)
    graph = helper.make_graph(
        [made], "g", [helper.make_tensor_value_info("x", 1, [steps, batch, size])],
        [helper.make_tensor_value_info(n, 1, d) for n, d in zip(outputs, dims, strict=True)],
        [numpy_helper.from_array(array, name) for name, array in data.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
