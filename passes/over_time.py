"""From the integer graph of a step to that of a whole sequence: the step in one compiled loop."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import SHOWN, shape, states
from edgegate.passes.drop_unread import drop_unread
from edgegate.passes.join_moves import join_moves
from edgegate.passes.split_loops import split_loops
from edgegate.stages.edges import ENTRIES, EXITS, is_edge
from edgegate.stages.loops import LOOP
from edgegate.stages.scans import mark, roll

NAME = "sequence"
"""What the loop is called."""


def over_time(model: ir.Model, steps: int, *, split: bool = True) -> ir.Model:
    """A model of ``steps`` steps, which gives the same integers as so many runs of ``model``.

    Inputs that are no states have time as their new first axis, and so have outputs that are more than states. A state
    goes in as it is before the first step and comes out as it is after the last; so sequences longer than ``steps`` are
    run in pieces. Where an output is both, its sequence is called ``<name>.sequence``, and comes behind all outputs.
    The last of a state that is an input in the next step is called ``<state>.last``, and comes behind those, stored.

    Args:
        model: Of integers, a step with states; it is not changed.
        steps: How many steps.
        split: Compute for all steps at once what need not wait for the step before; else all in one loop.

    Raises:
        ValueError: The model has no states, or there is no step.
    """
    if steps < 1 or not states(model):
        raise ValueError(f"a sequence has one step or more of a model with states, got {steps} of {model.graph.name!r}")
    made = model.clone()
    _Sequence(made, steps).write()
    for simplify in (split_loops, join_moves, drop_unread) if split else ():
        simplify(made)
    roll(made)
    return made


class _Sequence:
    """Writes the loop around the nodes of a step."""

    def __init__(self, model: ir.Model, steps: int) -> None:
        self.model, self.graph, self.steps = model, model.graph, steps
        self.stored = {str(v.name): _entered(v) for v in self.graph.inputs}
        self.left = {str(v.name): _left(v) for v in self.graph.outputs}
        self.pairs = states(model)
        self.after = {after for _, after in self.pairs}

    def write(self) -> None:
        """Put a Begin behind the entries, and an End before the exits."""
        held = [before for before, _ in self.pairs]
        fresh = [name for name in self.stored if name not in held]
        results = [{**self.stored, **self.left}[after] for _, after in self.pairs]
        shown = [name for name in self.left if self._is_shown(name)]
        entries = [n for n in self.graph if is_edge(n) and n.op_type in ENTRIES]
        exits = [n for n in self.graph if is_edge(n) and n.op_type in EXITS]
        nodes = [n for n in self.graph if n not in entries and n not in exits]
        self.graph.remove([*entries, *exits, *nodes])
        given = [self.stored[name] for name in (*held, *fresh)]  # of one step as yet
        begin = self._mark("Begin", given, [shape(v) for v in given], [f"{v.name}.step" for v in given])
        for old, new in zip(given, begin.outputs, strict=True):
            for node, index in old.uses():
                if node in nodes:
                    node.replace_input_with(index, new)
        inner = dict(zip(given, begin.outputs, strict=True))
        made = [inner.get(v, v) for v in (*results, *(self.left[name] for name in shown))]
        names = [f"{v.name}.last" for v in results] + [f"{self.left[name].name}.all" for name in shown]
        dims = [shape(v) for v in results] + [(self.steps, *shape(self.left[name])) for name in shown]
        end = self._mark("End", made, dims, names)
        self.graph.extend([*entries, begin, *nodes, end, *exits])
        self._lengthen(fresh)
        self._leave(end, shown)

    def _is_shown(self, name: str) -> bool:
        shown = self.graph.metadata_props.get(SHOWN, "[]")
        return name not in self.after or f'"{name}"' in shown

    def _mark(self, kind: str, inputs: list[ir.Value], dims: list[tuple[int, ...]], names: list[str]) -> ir.Node:
        """A Begin or End in no graph yet."""
        self.model.opset_imports.setdefault(LOOP, 1)
        count = len(self.pairs)
        outputs = [
            ir.Value(name=n, shape=ir.Shape(d), type=v.type) for n, d, v in zip(names, dims, inputs, strict=True)
        ]
        return mark(kind, NAME, count, [0] * (len(inputs) - count), [*inputs], outputs)

    def _lengthen(self, fresh: list[str]) -> None:
        """Give inputs that are no states a time axis, and what is stored of them."""
        for value in self.graph.inputs:
            if value.name in fresh:
                stored = self.stored[str(value.name)]
                longer = ir.Shape((self.steps, *shape(value)))
                if stored is not value:
                    stored.shape = ir.Shape((self.steps, *shape(stored)))
                value.shape = longer

    def _leave(self, end: ir.Node, shown: list[str]) -> None:
        """Let the outputs come out of the End."""
        finals = dict(zip((after for _, after in self.pairs), end.outputs, strict=False))
        sequences = dict(zip(shown, end.outputs[len(self.pairs) :], strict=True))
        for value in list(self.graph.outputs):
            name = str(value.name)
            both = name in finals and name in sequences
            source = finals.get(name, sequences.get(name))
            assert source is not None, "an output is a state, or shown"
            if both:
                self._second(value, sequences[name])
            self._read(value, source)
        for (before, after), source in zip(self.pairs, end.outputs, strict=False):
            if after not in self.left:  # what an input was in the last step is seen nowhere else
                source.name = f"{before}.last"
                self.graph.outputs.append(source)

    def _read(self, output: ir.Value, source: ir.Value) -> None:
        """Let a graph output come from ``source``."""
        edge = output.producer()
        if edge is not None and is_edge(edge) and edge.op_type in EXITS:
            edge.replace_input_with(0, source)
            output.shape = source.shape
            return
        name, output.name = output.name, None
        source.name = name
        self.graph.outputs[self.graph.outputs.index(output)] = source

    def _second(self, output: ir.Value, source: ir.Value) -> None:
        """A new graph output for the sequence of one that is a state as well."""
        edge, name = output.producer(), f"{output.name}.sequence"
        if edge is None or not is_edge(edge):
            source.name = name
            self.graph.outputs.append(source)
            return
        value = ir.Value(name=name, shape=source.shape, type=output.type)
        copy = ir.node(edge.op_type, [source, *edge.inputs[1:]], domain=edge.domain, outputs=[value], name=name)
        self.graph.append(copy)
        self.graph.outputs.append(value)


def _entered(value: ir.Value) -> ir.Value:
    """What is stored of an input: the result of its edge, or itself."""
    edges = [n for n, _ in value.uses() if is_edge(n) and n.op_type in ENTRIES]
    return edges[0].outputs[0] if edges else value


def _left(value: ir.Value) -> ir.Value:
    """What an output is made from: what its edge reads, or itself."""
    edge = value.producer()
    source = edge.inputs[0] if edge is not None and is_edge(edge) and edge.op_type in EXITS else value
    assert source is not None, "an edge has an input"
    return source
