"""What a report says of an integer model: its gates, by name, and what was proved."""

from __future__ import annotations

import json
from typing import Any

import onnx_ir as ir

from edgegate.graph import CODE, DOMAIN, GATE, LAYER, SOURCE, shape
from edgegate.ops.logic import netlist_of
from edgegate.passes.optimise_logic import IMPORTED
from edgegate.stages import Proof
from edgegate.stages.scans import every_node


def gates(model: ir.Model) -> dict[str, dict[str, Any]]:
    """Every gate of an integer model by the name of its product, in graph order, those of a loop before what follows.

    For each: kind ("Paired", "Reduce", "Product"), family, the activation functions of gate and value, the torch
    layer and source line, the shapes of value and gate (stored order) and what they are stored as.
    """
    found = {}
    for node in every_node(model):
        if GATE not in node.metadata_props:
            continue
        value, gate = node.inputs[:2]
        assert value is not None and gate is not None, "a gated product has two factors"
        where = {"layer": node.metadata_props.get(LAYER, ""), "source": node.metadata_props.get(SOURCE, "")}
        factors = {name: _described(v) for name, v in (("value", value), ("gate", gate), ("output", node.outputs[0]))}
        found[str(node.name)] = {**json.loads(node.metadata_props[GATE]), **where, **factors}
    return found


def networks(model: ir.Model) -> dict[str, dict[str, Any]]:
    """Every network of logic gates by the name of its node: gates and depth as imported, and in the program.

    With what the target says of its code, such as the least cycles a sample that the processor needs for it.
    """
    imported, found = model.meta.get(IMPORTED, {}), {}
    for node in model.graph:
        if (node.domain, node.op_type) != (DOMAIN, "Logic"):
            continue
        netlist, known = netlist_of(node), imported.get(str(node.name))
        described = {
            "kind": "Network", "family": "logic", "inputs": netlist.inputs, "outputs": len(netlist.outputs),
            "luts": netlist.gates, "depth": netlist.depth,
            "layer": node.metadata_props.get(LAYER, ""), "source": node.metadata_props.get(SOURCE, ""),
        }  # fmt: skip
        if known is not None:
            described |= {"imported_gates": known.netlist.gates, "imported_depth": known.netlist.depth}
        found[str(node.name)] = {**described, **node.meta.get(CODE, {})}
    return found


def report(model: ir.Model, proof: Proof) -> dict[str, Any]:
    """The gates and the proof as one JSON document."""
    return {"gates": {**gates(model), **networks(model)}, **proof.document()}


def _described(value: ir.Value) -> dict[str, Any]:
    assert value.dtype is not None, "every value of an integer model has a type"
    return {"dtype": value.dtype.numpy().name, "shape": list(shape(value))}
