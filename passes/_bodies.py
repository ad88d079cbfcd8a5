"""Bodies of control flow: their nodes move into the main graph, under names of their own."""

from __future__ import annotations

import onnx_ir as ir

CONTROL = ("Scan", "Loop", "If")
"""Ops with bodies."""


def opened(model: ir.Model, body: ir.Graph, prefix: str) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes of ``body``, in no graph any more, and the results; its constants are the model's from here on.

    Args:
        model: Whose names are taken.
        body: Of one of its nodes; nothing is left in it but inputs.
        prefix: What stands before names that are taken.
    """
    graph, nodes, results = model.graph, list(body), list(body.outputs)
    taken = {v.name for n in graph for v in n.outputs} | {v.name for v in graph.inputs} | set(graph.initializers)
    constants = list(body.initializers.values())
    body.outputs.clear()
    body.initializers.clear()
    body.remove(nodes)
    for value in (*constants, *body.inputs, *(v for n in nodes for v in n.outputs)):
        name = str(value.name)
        count = 0
        while value.name in taken:
            value.name, count = f"{prefix}.{name}.{count}" if count else f"{prefix}.{name}", count + 1
        taken.add(value.name)
    for value in constants:
        if value.const_value is not None:
            value.const_value.name = value.name
        graph.register_initializer(value)
    return nodes, results
