"""The parts of a split loop: nodes over all steps, and loops around what is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, shape
from edgegate.passes.split_loops._forms import batch, form
from edgegate.passes.split_loops._writer import Writer
from edgegate.stages.scans import mark


def at_once(writer: Writer, node: ir.Node) -> None:
    """Write a node over all steps."""
    made = form(node, {i for i, v in enumerate(node.inputs) if v in writer.plan.varying}, writer.steps)
    assert made is not None, "the plan has asked"
    given: list[ir.Value | None] = []
    for value, to in zip(node.inputs, made.inputs, strict=True):
        if isinstance(to, np.ndarray):
            given.append(writer.constant(to))
        elif to is None or value is None:
            given.append(value)
        else:
            given.append(writer.reshaped(writer.all_rows(value), to, f"{value.name}.given"))
    outputs = [
        ir.Value(name=writer.unique(f"{v.name}.made"), shape=ir.Shape(dims), type=v.type)
        for v, dims in zip(node.outputs, made.outputs, strict=True)
    ]
    attributes = {**{name: attribute(node, name) for name in node.attributes}, **made.attributes}
    new = ir.node(node.op_type, given, attributes, domain=node.domain, outputs=outputs, name=node.name)
    new.metadata_props.update(node.metadata_props)
    writer.put(new)
    for value, output in zip(node.outputs, outputs, strict=True):
        writer.rows[value] = writer.reshaped(output, batch(shape(value), writer.steps), f"{value.name}.rows")


def looped(writer: Writer, name: str, nodes: Sequence[ir.Node], states: Sequence[ir.Value]) -> list[ir.Value]:
    """Write a loop of what waits for the step before; the states after the last."""
    made = dict.fromkeys([*states, *(v for n in nodes for v in n.outputs)])
    outer = dict.fromkeys(v for n in nodes for v in n.inputs if v in writer.plan.varying and v not in made)
    near = [v for v in outer if v in writer.plan.near]
    read = [v for v in outer if v not in writer.plan.near]
    given: list[ir.Value | None] = [*(writer.initial[s] for s in states), *map(writer.sequence, read)]
    inside = {v: writer.like(v, f"{v.name}.step", shape(v)) for v in (*states, *read)}
    elements = list(inside.values())
    if near or not read:  # a Scan has a sequence
        numbers = writer.constant(np.arange(writer.steps).reshape(-1, 1))
        given.append(numbers)
        elements.append(writer.like(numbers, f"{name}.number", (1,)))
    queues = [writer.plan.views[v] for v in near]
    whole = [writer.whole_of(q, writer.rows_of(q)) for q in queues]
    writer.put(mark("Begin", name, len(states), [0] * (len(elements) - len(states)), given, elements))
    inside |= {v: writer.window_at(v, w, elements[-1]) for v, w in zip(near, whole, strict=True)}
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value in inside:
                node.replace_input_with(index, inside[value])
        writer.put(node)
    own = set(nodes)
    shown = [v for v in made if writer.plan.is_read(v, own)]
    results: list[ir.Value | None] = [inside.get(v, v) for v in (*(writer.after[s] for s in states), *shown)]
    finals = [writer.like(s, f"{s.name}.last", shape(s)) for s in states]
    every = [writer.like(v, f"{v.name}.all", (writer.steps, *shape(v))) for v in shown]
    writer.put(mark("End", name, len(states), [0] * len(every), results, [*finals, *every]))
    writer.sequences |= dict(zip(shown, every, strict=True))
    return finals
