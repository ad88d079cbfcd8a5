"""What a report says of an integer model: its gates, by name, and what was proved."""

from __future__ import annotations

import json
from typing import Any

import onnx_ir as ir

from edgegate.graph import GATE, LAYER, SOURCE, shape
from edgegate.stages import Proof


def gates(model: ir.Model) -> dict[str, dict[str, Any]]:
    """Every gate of an integer model by the name of its product, in graph order.

    For each: kind ("Paired", "Reduce", "Product"), family, the activation functions of gate and value, the torch
    layer and source line, the shapes of value and gate (stored order) and what they are stored as.
    """
    found = {}
    for node in model.graph:
        if GATE not in node.metadata_props:
            continue
        value, gate = node.inputs[:2]
        assert value is not None and gate is not None, "a gated product has two factors"
        where = {"layer": node.metadata_props.get(LAYER, ""), "source": node.metadata_props.get(SOURCE, "")}
        factors = {name: _described(v) for name, v in (("value", value), ("gate", gate), ("output", node.outputs[0]))}
        found[str(node.name)] = {**json.loads(node.metadata_props[GATE]), **where, **factors}
    return found


def report(model: ir.Model, proof: Proof) -> dict[str, Any]:
    """The gates and the proof as one JSON document."""
    return {"gates": gates(model), **proof.document()}


def _described(value: ir.Value) -> dict[str, Any]:
    assert value.dtype is not None, "every value of an integer model has a type"
    return {"dtype": value.dtype.numpy().name, "shape": list(shape(value))}
