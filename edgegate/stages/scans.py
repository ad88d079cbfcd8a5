"""Loops laid flat become Scans, which engines run, and the other way round.

The body of such a Scan reads constants, and values from before the loop, by name; all names are of their own. Each
sequence has time on its first axis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, constant, insert, shape
from edgegate.stages.loops import LOOP, Loop, loops


def scans(model: ir.Model) -> list[ir.Node]:
    """The Scans of the main graph, in order."""
    return [n for n in model.graph if n.op_type == "Scan" and not n.domain]


def every_node(model: ir.Model) -> list[ir.Node]:
    """The nodes of the graph, those of a Scan's body before the Scan."""
    found = []
    for node in model.graph:
        if node.op_type == "Scan" and not node.domain:
            found += list(attribute(node, "body"))
        found.append(node)
    return found


def roll(model: ir.Model) -> None:
    """Turn each loop of the model into a Scan."""
    for loop in loops(model.graph):
        _roll(model, _with_own_results(model, loop))


def _roll(model: ir.Model, loop: Loop) -> None:
    begin, end, results = loop.begin, loop.end, loop.results
    given, made = (_twins(node) for node in (begin, end))
    ir.convenience.replace_all_uses_with(begin.outputs, given)
    model.graph.remove(list(loop.inside))
    directions = {"scan_input_directions": begin, "scan_output_directions": end}
    attributes: dict[str, Any] = {
        "body": ir.Graph(given, results, nodes=list(loop.inside), name=f"{loop.name}.step"),
        "num_scan_inputs": len(given) - loop.states,
        **{name: found for name, node in directions.items() if (found := list(attribute(node, "reverse", [])))},
    }
    node = ir.node("Scan", list(begin.inputs), attributes, outputs=made, name=loop.name)
    node.metadata_props.update(end.metadata_props)
    model.graph.insert_before(end, [node])
    ir.convenience.replace_all_uses_with(end.outputs, made, replace_graph_outputs=True)
    model.graph.remove([end, begin], safe=True)


def _twins(node: ir.Node) -> list[ir.Value]:
    """Values like the node's outputs, which lose their names to them."""
    found = [ir.Value(name=v.name, shape=v.shape, type=v.type) for v in node.outputs]
    for value in node.outputs:
        value.name = None
    return found


def _with_own_results(model: ir.Model, loop: Loop) -> Loop:
    """The loop, each result of a step made in it by a node of its own: a Scan asks for that."""
    made, met, copies = {v for n in loop.inside for v in n.outputs}, set[ir.Value](), []
    names = {v.name for n in model.graph for v in n.outputs} | set(model.graph.initializers)
    for index, value in enumerate(loop.results):
        if value in made and value not in met:
            met.add(value)
            continue
        assert value.dtype is not None, "values have a type"
        name = next(n for i in range(len(names) + 1) if (n := f"{value.name}.copy{i}") not in names)
        names.add(name)
        dims = constant(model, f"{name}.dims", np.array(shape(value), np.int64))
        inputs, attributes = [value, dims], {"allowzero": 0}
        copy = insert(
            loop.end, "Reshape", inputs, attributes, domain="", name=name, dtype=value.dtype, dims=shape(value)
        )  # fmt: skip
        loop.end.replace_input_with(index, copy)
        copies.append(copy.producer())
    return replace(loop, inside=(*loop.inside, *[c for c in copies if c is not None]))


def lay_flat(model: ir.Model) -> None:
    """Undo :func:`roll`. The names of bodies must be of their own, and each sequence have time on its first axis."""
    for scan in scans(model):
        body, count = attribute(scan, "body"), int(attribute(scan, "num_scan_inputs"))
        states, name = len(scan.inputs) - count, str(scan.name)
        given, results, nodes = list(body.inputs), list(body.outputs), list(body)
        body.outputs.clear()
        body.remove(nodes)
        begin = _mark("Begin", name, states, list(scan.inputs), given, attribute(scan, "scan_input_directions"))
        end = _mark("End", name, states, results, list(scan.outputs), attribute(scan, "scan_output_directions"))
        for mark in (begin, end):
            mark.metadata_props.update(scan.metadata_props)
        model.graph.insert_before(scan, [begin, *nodes, end])
        ir.convenience.replace_all_uses_with(given, begin.outputs)
        ir.convenience.replace_all_uses_with(scan.outputs, end.outputs, replace_graph_outputs=True)
        model.graph.remove(scan, safe=True)
    model.opset_imports.setdefault(LOOP, 1)


def _mark(
    kind: str, name: str, states: int, inputs: list[ir.Value | None], like: list[ir.Value], reverse: Any
) -> ir.Node:  # fmt: skip
    """A Begin or End whose outputs take the names of ``like``."""
    outputs = [ir.Value(name=v.name, shape=v.shape, type=v.type) for v in like]
    for value in like:
        value.name = None
    turned = [int(r) for r in reverse or [0] * (len(like) - states)]
    return mark(kind, name, states, turned, inputs, outputs)


def mark(
    kind: str, name: str, states: int, reverse: list[int], inputs: list[ir.Value | None], outputs: list[ir.Value]
) -> ir.Node:  # fmt: skip
    """A Begin or End, in no graph yet."""
    attributes = {"loop": name, "states": states, **({"reverse": reverse} if reverse else {})}
    return ir.node(kind, inputs, attributes, domain=LOOP, outputs=outputs, name=f"{name}.{kind.lower()}")
