"""Run an integer model with the ops' numpy references: the definition of right.

The float edges are run as ONNX defines them, in float32; QuantizeLinear with ties to even.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, attribute
from edgegate.ops import OPS, enter, scores, threshold
from edgegate.stages.edges import is_edge


def quantize(x: Array, scale: Array, zero_point: Array) -> Array:
    """ONNX QuantizeLinear: ``saturate(round_half_even(x / scale) + zero_point)``, per tensor."""
    info = np.iinfo(zero_point.dtype)
    stored = np.rint(x.astype(np.float32) / scale) + zero_point.astype(np.float32)
    return np.clip(stored, info.min, info.max).astype(zero_point.dtype)


def dequantize(x: Array, scale: Array, zero_point: Array) -> Array:
    """ONNX DequantizeLinear: ``(x - zero_point) * scale`` in float32, per tensor."""
    return (x.astype(np.int32) - zero_point.astype(np.int32)).astype(np.float32) * scale


EDGES: dict[str, Callable[..., Any]] = {
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "Enter": enter.reference,
    "Threshold": threshold.reference, "Scores": scores.reference,
}  # fmt: skip


def run(model: ir.Model, feeds: Mapping[str, Array], *, keep: bool = False) -> dict[str, Array]:
    """Run ``model``.

    Args:
        model: An integer model: nodes of the op table, and the edges.
        feeds: One array per graph input, by name; or any values, and then nodes that make what is given are not run.
        keep: Give every value of the graph, not the outputs alone.

    Returns:
        The arrays by value name.
    """
    values: dict[str | None, Any] = {v.name: v.const_value.numpy() for v in _initializers(model)}
    values.update(feeds)
    for node in model.graph:
        if all(v.name in feeds for v in node.outputs):
            continue
        inputs = [None if v is None else values[v.name] for v in node.inputs]
        results = evaluate(node, inputs)
        values |= {v.name: r for v, r in zip(node.outputs, results, strict=True)}
    if keep:
        return {str(name): value for name, value in values.items()}
    return {str(v.name): values[v.name] for v in model.graph.outputs}


def _initializers(model: ir.Model) -> list[Any]:
    return list(model.graph.initializers.values())


def evaluate(node: ir.Node, inputs: list[Any]) -> tuple[Array, ...]:
    """The outputs of one node."""
    if is_edge(node):
        return (EDGES[node.op_type](*inputs),)
    op = OPS[node.domain, node.op_type]
    attributes = {name: attribute(node, name) for name in node.attributes}
    result = op.reference(*inputs, **attributes)
    return result if isinstance(result, tuple) else (np.asarray(result),)
