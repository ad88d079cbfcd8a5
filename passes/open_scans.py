"""A Scan is a stretch of the graph like any other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, insert, matches, replace, shape
from edgegate.passes._bodies import opened
from edgegate.stages.loops import LOOP, Loop, loops
from edgegate.stages.scans import mark


def open_scans(model: ir.Model) -> None:
    """Lay each Scan flat: the nodes of its body between a Begin and an End, sequences with time on their first axis.

    Source: the ONNX operator Scan, version 21.
    """
    for index, scan in enumerate(matches(model, "Scan")):
        _open(model, scan, f"{scan.name or 'scan'}.{index}")
    for loop in loops(model.graph):
        _read_in_order(loop)


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


def _read_in_order(loop: Loop) -> None:
    """Let what a step picks by its own number be an element of a sequence; a number that nothing else reads goes."""
    begin, states, within = loop.begin, loop.states, {v for n in (loop.begin, *loop.inside) for v in n.outputs}
    ways = [*attribute(begin, "reverse", [])]
    sides = list(zip(begin.inputs[states:], begin.outputs[states:], ways, strict=True))
    kept: list[tuple[ir.Value | None, ir.Value, int]] = []
    for places, number, way in sides:
        found = [(source, node) for node, source in _picked(places, number) if source not in within]
        kept += [(_first(begin, s, int(attribute(n, "axis", 0))), n.outputs[0], way) for s, n in found]
        if len(found) < len(number.uses()) or not found:
            kept.append((places, number, way))
    if len(kept) == len(sides) and all(a[1] is b[1] for a, b in zip(kept, sides, strict=True)):
        return
    elements = [v for _, v, _ in kept]
    like = [*begin.outputs[:states], *elements]
    outputs = [ir.Value(name=v.name, shape=v.shape, type=v.type) for v in like]
    made = mark(
        "Begin", str(attribute(begin, "loop")), states, [w for _, _, w in kept],
        [*begin.inputs[:states], *(s for s, _, _ in kept)], outputs,
    )  # fmt: skip
    made.metadata_props.update(begin.metadata_props)
    graph = begin.graph
    assert graph is not None, "the node is in the graph"
    graph.insert_before(begin, [made])
    makers = {n for v in elements if (n := v.producer()) is not None and n is not begin}
    for old, new in zip(like, outputs, strict=True):
        old.name = None
        ir.convenience.replace_all_uses_with(old, new)
    graph.remove([*makers, begin], safe=True)


def _picked(places: ir.Value | None, number: ir.Value) -> list[tuple[ir.Node, ir.Value]]:
    """The Gathers that pick an element by the number of the step, and what from."""
    data = array(places)
    if data is None or data.ndim != 1 or not np.array_equal(data, np.arange(len(data))):
        return []
    found = []
    for node, index in number.uses():
        source = node.inputs[0]
        picks = (node.domain, node.op_type, index) == ("", "Gather", 1)
        if picks and source is not None and shape(source)[int(attribute(node, "axis", 0))] == len(data):
            found.append((node, source))
    return found


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
