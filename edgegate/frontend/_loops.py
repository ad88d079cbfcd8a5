"""Loops of a constant number of steps are Scans, whose outputs have shapes.

Source: the ONNX operators Loop and Scan, version 21.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import array, constant, where

_FIX = (
    "count its steps by a number that the model knows, as in `for i in range(8)`; or export one step, with the state "
    "as input and output"
)
_SAME = ("Identity", "Cast")


def to_scans(model: ir.Model) -> None:
    """Put a Scan in the place of each Loop; the number of the step is one of its sequences.

    Raises:
        CompileError: The steps of a Loop are not known, or its condition is computed.
    """
    for node in list(model.graph):
        if node.op_type == "Loop" and not node.domain:
            _replace(model, node)


def _replace(model: ir.Model, node: ir.Node) -> None:
    body = node.attributes["body"].as_graph()
    count, states = array(node.inputs[0]), [v for v in node.inputs[2:] if v is not None]
    number, going, *given = body.inputs
    if count is None or count.size != 1 or not _stays(node, body):
        raise CompileError(where(node), "a loop whose number of steps depends on data", _FIX)
    steps = int(count.item())
    if steps < 1:
        raise CompileError(where(node), f"a loop of {steps} steps", "take it out of the model")
    going_on = constant(model, f"{node.name}.going", np.array(True))
    ir.convenience.replace_all_uses_with(going, going_on)
    results = list(body.outputs)[1:]
    nodes, constants = list(body), list(body.initializers.values())
    body.inputs.clear()
    body.outputs.clear()
    body.initializers.clear()
    body.remove(nodes)
    for value in (number, *given):
        value.shape = ir.Shape(()) if value is number else value.shape
    for value, source in zip(given, states, strict=True):
        value.shape, value.type = source.shape, source.type
    made = ir.Graph([*given, number], results, nodes=nodes, initializers=constants, name=body.name)
    places = constant(model, f"{node.name}.steps", np.arange(steps, dtype=np.int64))
    outputs = [ir.Value(name=v.name, type=v.type) for v in node.outputs]
    for value in node.outputs:
        value.name = None
    scan = ir.node("Scan", [*states, places], {"body": made, "num_scan_inputs": 1}, outputs=outputs, name=node.name)
    scan.metadata_props.update(node.metadata_props)
    model.graph.insert_before(node, [scan])
    ir.convenience.replace_all_uses_with(node.outputs, outputs, replace_graph_outputs=True)
    model.graph.remove(node, safe=True)


def _stays(node: ir.Node, body: ir.Graph) -> bool:
    """Whether the loop goes on for all its steps, whatever they compute."""
    initial = node.inputs[1] if len(node.inputs) > 1 else None
    if initial is not None and ((data := array(initial)) is None or not data.item()):
        return False
    value: ir.Value | None = body.outputs[0]
    while value is not None and (producer := value.producer()) is not None and producer.op_type in _SAME:
        value = producer.inputs[0]
    data = array(value)
    return value is body.inputs[1] or (data is not None and bool(data.item()))
