"""Run an integer model with the ops' numpy references: the definition of right.

The float edges are run as ONNX defines them, in float32; QuantizeLinear with ties to even.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    _run(values, [n for n in model.graph if any(v.name not in feeds for v in n.outputs)])
    if keep:
        return {str(name): value for name, value in values.items()}
    return {str(v.name): values[v.name] for v in model.graph.outputs}


def _run(values: dict[str | None, Any], nodes: Iterable[ir.Node]) -> None:
    """Add what the nodes make to ``values``."""
    for node in nodes:
        inputs = [None if v is None else values[v.name] for v in node.inputs]
        results = _scan(node, inputs, values) if node.op_type == "Scan" else evaluate(node, inputs)
        values |= {v.name: r for v, r in zip(node.outputs, results, strict=True)}


def _scan(node: ir.Node, inputs: list[Any], around: Mapping[str | None, Any]) -> tuple[Array, ...]:
    """The outputs of a Scan: its body over and over, on top of the values around it."""
    body, count = attribute(node, "body"), int(attribute(node, "num_scan_inputs"))
    states, sequences = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    turned, late = (attribute(node, f"scan_{side}_directions", []) for side in ("input", "output"))
    sequences = [x[::-1] if turn else x for x, turn in zip(sequences, turned or [0] * count, strict=True)]
    made: list[list[Array]] = [[] for _ in body.outputs[len(states) :]]
    for elements in zip(*sequences, strict=True):
        values = dict(around) | {v.name: x for v, x in zip(body.inputs, [*states, *elements], strict=True)}
        _run(values, body)
        results = [values[v.name] for v in body.outputs]
        states = results[: len(states)]
        for sequence, element in zip(made, results[len(states) :], strict=True):
            sequence.append(element)
    stacked = [np.stack(s[::-1] if turn else s) for s, turn in zip(made, late or [0] * len(made), strict=True)]
    return (*states, *stacked)


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
