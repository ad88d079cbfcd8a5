"""The stages of an integer graph: programs of their own, each of which runs only for the samples that need it.

A node ``edgegate.StageGate(x, bit)`` stops a sample unless its bit is set; ``edgegate.Switch(bit, yes, no)`` takes one
of two results, and only that one has to be computed. So every node has a condition, a set of (bit, value): all bits of
the cuts for what the outputs alone need, more inside of a branch, fewer for what is needed earlier too. Nodes of one
condition are one program, unless something of another condition stands between them.

Source: Li et al., arXiv 2303.08970 (cuts); Dynamic Switch Layers, arXiv 2404.04405 (branches).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import DOMAIN, POINT, SHOWN, STATE, array, operating_point, shape, where
from edgegate.passes._rewrite import operand
from edgegate.passes.optimise_logic import IMPORTED
from edgegate.stages.edges import is_edge, is_entry

Condition = frozenset[tuple[str, bool]]
"""Bits by name, and what they must be."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One program.

    Attributes:
        model: Its integer graph. Graph inputs and outputs of the whole keep their edges; what crosses is integers.
        reads: Stored values by their name in the whole graph, in the order of the inputs.
        gives: The same for the outputs.
        when: For which samples it runs.
    """

    model: ir.Model
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    when: Condition


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A result taken from one of two programs: ``name`` is ``yes`` where the bit is set, else ``no``."""

    name: str
    bit: str
    yes: str
    no: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """A graph in stages.

    Attributes:
        steps: Programs and choices, in an order in which they can run.
        inputs: The stored value of every graph input.
        outputs: The stored value of every graph output.
        cuts: The bits that stop samples, in order.
        batch: Samples of one call.
    """

    steps: tuple[Piece | Choice, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cuts: tuple[str, ...]
    batch: int

    @property
    def pieces(self) -> list[Piece]:
        """The programs, in order."""
        return [step for step in self.steps if isinstance(step, Piece)]


def split_stages(model: ir.Model) -> Split:
    """Cut an integer graph at its gates; the graph itself stays as it is.

    Raises:
        CompileError: There is no gate; or what crosses a cut is not in samples, where a call takes several.
    """
    whole = model.clone()
    whole.meta.update(model.meta)
    marks = _marks(whole)
    choices = [n for n in whole.graph if _is_choice(n)]
    if not marks and not choices:
        fix = "compile it with one target, or put edgegate.nn.GatedCompression where it can stop"
        raise CompileError("the model", "has no gate at which it could be cut into stages", fix)
    plan = _Plan(whole, marks)
    return plan.split(tuple(dict.fromkeys(str(bit.name) for _, bit in marks)))


def _marks(model: ir.Model) -> list[tuple[ir.Value, ir.Value]]:
    """(what crosses, bit) of each cut, in order; its node is taken out."""
    found = []
    for node in [n for n in model.graph if (n.domain, n.op_type) == (DOMAIN, "StageGate")]:
        features, bit = node.inputs
        assert features is not None and bit is not None, "a cut has features and a bit"
        found.append((features, bit))
        ir.convenience.replace_all_uses_with(node.outputs[0], features, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
    return found


def _is_choice(node: ir.Node) -> bool:
    """Whether a node takes one of two computed results, for which different programs can run."""
    return (node.domain, node.op_type) == (DOMAIN, "Switch") and all(v and array(v) is None for v in node.inputs)


def _source(value: ir.Value) -> ir.Value:
    """The stored value that an edge of an output reads; any other value itself."""
    node = value.producer()
    found = node.inputs[0] if node is not None and is_edge(node) and not is_entry(node) else value
    assert found is not None, "an edge has an input"
    return found


class _Plan:
    """Conditions and places of all nodes."""

    def __init__(self, model: ir.Model, marks: list[tuple[ir.Value, ir.Value]]) -> None:
        self.model, self.need = model, dict[ir.Value, Condition]()
        self.nodes = [n for n in model.graph if not is_edge(n)]
        self.bits = {str(v.name): v for n in self.nodes if _is_choice(n) for v in n.inputs[:1] if v is not None}
        self.bits |= {str(bit.name): bit for _, bit in marks}
        self.marks = marks
        self._ask_all()
        self.depth: dict[ir.Node, int] = {}
        for node in self.nodes:
            self.depth[node] = self._depth(node)

    def _ask(self, value: ir.Value | None, when: Condition) -> None:
        if value is not None:
            self.need[value] = self.need.get(value, when) & when

    def _ask_all(self) -> None:
        """What is needed when, from the outputs back to the inputs."""
        before: Condition = frozenset()
        for features, bit in self.marks:
            self._ask(bit, before)
            self._ask(features, before)
            before |= {(str(bit.name), True)}
        for value in self.model.graph.outputs:
            self._ask(_source(value), before)
        for node in reversed(self.nodes):
            when = self.when(node)
            extra: list[Condition] = [frozenset()] * len(node.inputs)
            if _is_choice(node):
                name = str(operand(node).name)
                extra = [frozenset(), frozenset({(name, True)}), frozenset({(name, False)})]
            for source, more in zip(node.inputs, extra, strict=True):
                self._ask(source, when | more)

    def when(self, node: ir.Node) -> Condition:
        """When any of its outputs is needed."""
        asked = [self.need[v] for v in node.outputs if v in self.need]
        return frozenset.intersection(*asked) if asked else frozenset()

    def _depth(self, node: ir.Node) -> int:
        """How many programs must have run before."""
        makers = [p for v in node.inputs if v is not None and (p := self._maker(v)) is not None]
        if _is_choice(node):
            return max((self.depth[p] for p in makers), default=0) + 1
        when = self.when(node)
        least = [self.depth[p] + (not _is_choice(p) and self.when(p) != when) for p in makers]
        deciding = [p for name, _ in when if (p := self._maker(self.bits[name])) is not None]
        return max([*least, *(self.depth[p] + 1 for p in deciding)], default=0)

    def _maker(self, value: ir.Value) -> ir.Node | None:
        node = value.producer()
        return None if node is None or is_edge(node) else node

    def split(self, cuts: tuple[str, ...]) -> Split:
        """The programs."""
        groups: dict[tuple[int, Condition], list[ir.Node]] = {}
        order: dict[tuple[int, int, int], list[ir.Node]] = {}
        for place, node in enumerate(self.nodes):
            if _is_choice(node):
                order[self.depth[node], 0, place] = [node]
            else:
                groups.setdefault((self.depth[node], self.when(node)), []).append(node)
        for (depth, _), nodes in groups.items():
            order[depth, 1, self.nodes.index(nodes[0])] = nodes
        batch = self._batch()
        steps = [self._step(order[key]) for key in sorted(order)]
        graph = self.model.graph
        inputs = tuple(str(_stored(v).name) for v in graph.inputs)
        outputs = tuple(str(_source(v).name) for v in graph.outputs)
        found = Split(steps=tuple(steps), inputs=inputs, outputs=outputs, cuts=cuts, batch=batch)
        _check(found)
        return found

    def _batch(self) -> int:
        return next(shape(bit)[0] if shape(bit) else 1 for bit in self.bits.values())

    def _step(self, nodes: list[ir.Node]) -> Piece | Choice:
        if _is_choice(nodes[0]):
            bit, yes, no = (str(v.name) for v in nodes[0].inputs if v is not None)
            return Choice(name=str(nodes[0].outputs[0].name), bit=bit, yes=yes, no=no)
        inside = set(nodes)
        made = [v for n in nodes for v in n.outputs if v.name]
        read = dict.fromkeys(v for n in nodes for v in n.inputs if v is not None and array(v) is None)
        outer = [v for v in read if v not in set(made)]
        given = [v for v in made if self._is_read_elsewhere(v, inside)]
        when = self.when(nodes[0])
        inputs = _in_order(self.model, outer)
        model = _extract(self.model, [_outside(v) for v in inputs], [_exit(v) for v in given])
        names = [tuple(str(v.name) for v in side) for side in (inputs, given)]
        return Piece(model=model, reads=names[0], gives=names[1], when=when)

    def _is_read_elsewhere(self, value: ir.Value, inside: set[ir.Node]) -> bool:
        return value.is_graph_output() or value.name in self.bits or any(n not in inside for n, _ in value.uses())


def _in_order(model: ir.Model, values: Iterable[ir.Value]) -> list[ir.Value]:
    """What graph inputs store first, in their order; then what crosses."""
    places = {v: i for i, v in enumerate(map(_stored, model.graph.inputs))}
    return sorted(values, key=lambda v: places.get(v, len(places)))


def _stored(value: ir.Value) -> ir.Value:
    """The stored value of a graph input."""
    return next((n.outputs[0] for n, _ in value.uses() if is_entry(n)), value)


def _outside(value: ir.Value) -> ir.Value:
    """The graph input whose stored form a value is; any other value itself."""
    node = value.producer()
    found = node.inputs[0] if node is not None and is_entry(node) else value
    assert found is not None, "an edge has an input"
    return found


def _exit(value: ir.Value) -> ir.Value:
    """The graph output that a value is the stored form of; any other value itself."""
    return next((n.outputs[0] for n, _ in value.uses() if is_edge(n)), value)


def _extract(model: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
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


def _check(found: Split) -> None:
    """Where a call takes several samples, all that crosses must be in samples."""
    if found.batch == 1:
        return
    for piece in found.pieces:
        point = operating_point(piece.model)
        for value in (*piece.model.graph.inputs, *piece.model.graph.outputs):
            if value.name not in point and shape(value)[:1] != (found.batch,):
                node = value.producer()
                place = str(value.name) if node is None else where(node)
                what = f"crosses between stages in the shape {list(shape(value))}, not {found.batch} samples first"
                raise CompileError(place, what, "compile it for one sample a call: batch 1")
