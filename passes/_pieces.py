"""Parts of an integer graph as models: what crosses is integers, graph inputs and outputs keep their edges."""

from __future__ import annotations

import json
from collections.abc import Iterable

import onnx_ir as ir

from edgegate.graph import POINT, SHOWN, STATE, operating_point
from edgegate.passes.optimise_logic import IMPORTED
from edgegate.stages.edges import is_edge, is_entry


def source(value: ir.Value) -> ir.Value:
    """The stored value that an edge of an output reads; any other value itself."""
    node = value.producer()
    found = node.inputs[0] if node is not None and is_edge(node) and not is_entry(node) else value
    assert found is not None, "an edge has an input"
    return found


def in_order(model: ir.Model, values: Iterable[ir.Value]) -> list[ir.Value]:
    """What graph inputs store first, in their order; then what crosses."""
    places = {v: i for i, v in enumerate(map(stored, model.graph.inputs))}
    return sorted(values, key=lambda v: places.get(v, len(places)))


def stored(value: ir.Value) -> ir.Value:
    """The stored value of a graph input."""
    return next((n.outputs[0] for n, _ in value.uses() if is_entry(n)), value)


def outside(value: ir.Value) -> ir.Value:
    """The graph input whose stored form a value is; any other value itself."""
    node = value.producer()
    found = node.inputs[0] if node is not None and is_entry(node) else value
    assert found is not None, "an edge has an input"
    return found


def exit_of(value: ir.Value) -> ir.Value:
    """The graph output that a value is the stored form of; any other value itself."""
    return next((n.outputs[0] for n, _ in value.uses() if is_edge(n)), value)


def extract(model: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
    """The part of the graph between these values, as a model."""
    graph = ir.convenience.extract(model.graph, inputs, outputs)
    for key in (STATE, SHOWN, POINT):
        graph.metadata_props.pop(key, None)
    names = {v.name for v in graph.inputs}
    if point := {name: t for name, t in operating_point(model).items() if name in names}:
        graph.metadata_props[POINT] = json.dumps(point)
    functions = [function.clone() for function in model.functions.values()]
    part = ir.Model(graph, ir_version=model.ir_version, producer_name=model.producer_name, functions=functions)
    kept = {str(n.name) for n in graph}
    if known := {name: found for name, found in model.meta.get(IMPORTED, {}).items() if name in kept}:
        part.meta[IMPORTED] = known
    return part
