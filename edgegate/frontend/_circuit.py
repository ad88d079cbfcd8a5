"""Circuits in AIGER and BLIF files as models: one network of gates, its latches a state that goes in and comes out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.frontend._operators import OPSET
from edgegate.graph import DOMAIN, Array, constant
from edgegate.logic.circuit import Circuit
from edgegate.ops.logic import layered
from edgegate.passes import _functions

FLOAT = ir.DataType.FLOAT


def to_model(circuit: Circuit, batch: int) -> ir.Model:
    """The float model of a circuit; every bit is 0.0 or 1.0.

    Inputs are ``inputs`` [batch, I] and, if there are latches, ``state`` [batch, L]; outputs are ``outputs``
    [batch, O] and ``next_state`` [batch, L]. What it starts from is :attr:`Circuit.resets`.
    """
    latches = len(circuit.latches)
    graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET, DOMAIN: 1}, name="circuit")
    model = ir.Model(graph, ir_version=10)
    widths = {"inputs": len(circuit.inputs), "state": latches}
    given = [_value(name, (batch, width)) for name, width in widths.items() if width]
    graph.inputs.extend(given)
    bits = given[0]
    if len(given) > 1:
        bits = _node(graph, "Concat", given, "bits", [(batch, sum(widths.values()))], {"axis": 1})[0]
    parts = zip(("fanins", "tables", "starts", "literals"), layered(circuit.netlist), strict=True)
    constants = [constant(model, name, _plain(data)) for name, data in parts]
    made = {"outputs": len(circuit.outputs), "next_state": latches}
    sizes = [(name, width) for name, width in made.items() if width]
    dims = (batch, sum(width for _, width in sizes))
    whole = _node(graph, "Network", [bits, *constants], sizes[0][0] if len(sizes) == 1 else "network", [dims])
    if len(sizes) > 1:
        split = constant(model, "sizes", np.array([width for _, width in sizes], np.int64))
        whole = _node(graph, "Split", [whole[0], split], "parts", [(batch, width) for _, width in sizes], {"axis": 1})
    for value, (name, _) in zip(whole, sizes, strict=True):
        value.name = name
    graph.outputs.extend(whole)
    _functions.declare(model, DOMAIN, "Network")
    return model


def _plain(data: Array) -> Array:
    return np.ascontiguousarray(data)


def _value(name: str, dims: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=name, shape=ir.Shape(dims), type=ir.TensorType(FLOAT))


def _node(
    graph: ir.Graph, op: str, inputs: list[ir.Value], name: str, dims: list[tuple[int, ...]],
    attributes: dict[str, int] | None = None,
) -> list[ir.Value]:  # fmt: skip
    outputs = [_value(f"{name}.{i}" if i else name, size) for i, size in enumerate(dims)]
    domain = DOMAIN if op == "Network" else ""
    graph.append(ir.node(op, inputs, attributes or {}, domain=domain, outputs=outputs, name=name))
    return outputs
