"""A loop keeps what waits for the step before; all else is computed for all steps at once, before it and behind it."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import attribute, shape
from edgegate.passes.split_loops._parts import at_once, looped
from edgegate.passes.split_loops._plan import Plan
from edgegate.passes.split_loops._traffic import take_in
from edgegate.passes.split_loops._writer import Writer
from edgegate.stages.loops import Loop, loops


def split_loops(model: ir.Model) -> None:
    """Split each loop that lies flat: products of one row by a matrix become products of many.

    What depends on itself through a state stays in a loop, or in several, one behind the other. A state that is a
    queue, or what something was in the step before, is no reason to wait. Every bit stays.

    Source: loop fission of Kuck et al., "Dependence graphs and compiler optimizations", POPL 1981.
    """
    for loop in loops(model.graph):
        steps = _steps(loop)
        if steps > 1 and _is_plain(loop):
            _split(model, Plan(loop, steps))


def _steps(loop: Loop) -> int:
    sequences = [*loop.begin.inputs[loop.states :], *loop.end.outputs[loop.states :]]
    return next((shape(v)[0] for v in sequences if v is not None), 1)


def _is_plain(loop: Loop) -> bool:
    """Whether it runs forward, and no node of it holds a graph of its own."""
    turned = [r for node in (loop.begin, loop.end) for r in attribute(node, "reverse", []) or []]
    held = {a.type for n in loop.inside for a in n.attributes.values()}
    return not any(turned) and not held & {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}


def _split(model: ir.Model, plan: Plan) -> None:
    take_in(plan)
    loop, writer, finals = plan.loop, Writer(model, plan), dict[ir.Value, ir.Value]()
    model.graph.remove(list(loop.inside))
    for phase, units in plan.phases():
        nodes = [u for u in units if isinstance(u, ir.Node)]
        states = [u for u in units if isinstance(u, ir.Value)]
        if phase % 2:
            finals |= zip(states, looped(writer, f"{loop.name}.{phase}", nodes, states), strict=True)
        else:
            for node in nodes:
                at_once(writer, node)
    results = [finals.get(before) or writer.last(before) for before, _ in loop.carried()]
    results += [writer.sequence(v, always=True) for v in loop.results[loop.states :]]
    _leave(loop, results)
    for node in loop.inside:
        if node.graph is None:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
    model.graph.remove([loop.end, loop.begin], safe=True)


def _leave(loop: Loop, results: list[ir.Value]) -> None:
    """Let ``results`` stand for what the loop made."""
    for old, new in zip(loop.end.outputs, results, strict=True):
        if old.is_graph_output():
            name, old.name = old.name, None
            new.name = name
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
