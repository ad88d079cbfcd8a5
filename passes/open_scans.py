"""A Scan is a stretch of the graph like any other."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import attribute, insert, matches, replace, shape
from edgegate.passes._bodies import opened
from edgegate.stages.loops import LOOP
from edgegate.stages.scans import mark


def open_scans(model: ir.Model) -> None:
    """Lay each Scan flat: the nodes of its body between a Begin and an End, sequences with time on their first axis.

    Source: the ONNX operator Scan, version 21.
    """
    for index, scan in enumerate(matches(model, "Scan")):
        _open(model, scan, f"{scan.name or 'scan'}.{index}")


def _open(model: ir.Model, scan: ir.Node, name: str) -> None:
    model.opset_imports.setdefault(LOOP, 1)
    body, count = attribute(scan, "body"), int(attribute(scan, "num_scan_inputs"))
    states = len(scan.inputs) - count
    nodes, results = opened(model, body, name)
    given = list(body.inputs)
    initial = [v for v in scan.inputs if v is not None]
    axes = list(attribute(scan, "scan_input_axes", [])) or [0] * count
    sources = initial[:states] + [_first(scan, v, a) for v, a in zip(initial[states:], axes, strict=True)]
    begin = _mark(scan, "Begin", name, states, sources, given)
    ir.convenience.replace_all_uses_with(given, begin.outputs)
    results = [begin.outputs[given.index(v)] if v in given else v for v in results]
    made = [ir.Value(name=f"{name}.end{i}", type=v.type) for i, v in enumerate(results)]
    steps = shape(sources[states])[0] if count else 0
    for value, result, index in zip(made, results, range(len(made)), strict=True):
        value.shape = ir.Shape(((steps,) if index >= states else ()) + shape(result))
    end = _mark(scan, "End", name, states, results, made)
    graph = scan.graph
    assert graph is not None, "the node is in the graph"
    graph.insert_before(scan, [begin, *nodes, end])
    late = list(attribute(scan, "scan_output_axes", [])) or [0] * (len(made) - states)
    back = [_last(scan, v, a) for v, a in zip(end.outputs[states:], late, strict=True)]
    replace(scan, *end.outputs[:states], *back)


def _mark(
    scan: ir.Node, kind: str, name: str, states: int, inputs: list[ir.Value], like: list[ir.Value]
) -> ir.Node:  # fmt: skip
    """A Begin or End in the place of a side of the Scan."""
    side = {"Begin": "scan_input_directions", "End": "scan_output_directions"}[kind]
    turned = list(attribute(scan, side, [])) or [0] * (len(inputs) - states)
    outputs = [ir.Value(name=f"{v.name}", shape=v.shape, type=v.type) for v in like]
    for value, source in zip(outputs, inputs, strict=True):
        value.type = value.type or source.type
    made = mark(kind, name, states, turned, [*inputs], outputs)
    made.metadata_props.update(scan.metadata_props)
    return made


def _first(scan: ir.Node, value: ir.Value, axis: int) -> ir.Value:
    """``value`` with ``axis`` as its first."""
    rank = len(shape(value))
    order = [axis % rank, *(a for a in range(rank) if a != axis % rank)]
    return _turned(scan, value, order)


def _last(scan: ir.Node, value: ir.Value, axis: int) -> ir.Value:
    """``value`` with its first axis as ``axis``."""
    rank = len(shape(value))
    order = list(range(1, rank))
    order.insert(axis % rank, 0)
    return _turned(scan, value, order)


def _turned(scan: ir.Node, value: ir.Value, order: list[int]) -> ir.Value:
    if order == sorted(order):
        return value
    assert value.dtype is not None, "values have a type"
    dims = [shape(value)[a] for a in order]
    name = f"{scan.name or 'scan'}.{value.name}.turned"
    return insert(scan, "Transpose", [value], {"perm": order}, domain="", name=name, dtype=value.dtype, dims=dims)
