"""The stages of an integer graph: programs of their own, each of which runs only for the samples that need it.

A node ``edgegate.StageGate(x, bit)`` stops a sample unless its bit is set. A Where with one bit a sample takes one of
two results, and only that one has to be computed: if layers make it, they are a stage of their own. So every node has
a condition, a set of (bit, value): all bits of the cuts for what the outputs alone need, more inside of a branch, fewer
for what is needed earlier too. Nodes of one condition are one program, unless something of another condition stands
between them.

Source: Li et al., arXiv 2303.08970 (cuts); Dynamic Switch Layers, arXiv 2404.04405 (branches).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import DOMAIN, array, matches, operating_point, shape, where
from edgegate.passes._pieces import exit_of, extract, in_order, outside, source, stored
from edgegate.passes._rewrite import operand
from edgegate.stages.edges import is_edge

LAYERS = frozenset({
    "BlockMatMul", "Conv1d", "Conv2d", "Conv2d16x8", "DepthwiseConv2d", "Logic", "MaskedMatMul", "MatMul", "MatMul16",
    "MatMul16x8", "Scan",
})  # fmt: skip
"""What is worth a stage of its own."""

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
    plan = _Plan(whole, marks, _choices(whole))
    if worthy := plan.with_layers():
        plan = _Plan(whole, marks, worthy)
    elif plan.choices:
        plan = _Plan(whole, marks, {})
    if not plan.bits:
        fix = "compile it with one target, or put edgegate.nn.GatedCompression where it can stop"
        raise CompileError("the model", "has no gate at which it could be cut into stages", fix)
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


def _choices(model: ir.Model) -> dict[ir.Node, ir.Value]:
    """Nodes that take one of two computed results for each sample, and the bits that decide."""
    samples = next((shape(v)[0] for v in model.graph.inputs if shape(v)), 1)
    found = {}
    for node in matches(model, "Where"):
        condition, yes, no = (operand(node, i) for i in range(3))
        bit = _root(condition)
        whole = shape(yes) == shape(no) == shape(node.outputs[0])
        if whole and prod(shape(bit)) == samples and not any(array(v) is not None for v in (bit, yes, no)):
            found[node] = bit
    return found


def _root(value: ir.Value) -> ir.Value:
    """The bits that were given another shape."""
    while (node := value.producer()) is not None and node.op_type == "Reshape" and not node.domain:
        value = operand(node)
    return value


class _Plan:
    """Conditions and places of all nodes."""

    def __init__(
        self, model: ir.Model, marks: list[tuple[ir.Value, ir.Value]], choices: Mapping[ir.Node, ir.Value]
    ) -> None:
        self.model, self.need, self.marks, self.choices = model, dict[ir.Value, Condition](), marks, choices
        self.bits = {str(bit.name): bit for bit in (*choices.values(), *(bit for _, bit in marks))}
        self.nodes = [n for n in model.graph if not is_edge(n)]
        self._ask_all()
        self.nodes = [n for n in self.nodes if any(v in self.need for v in n.outputs)]
        self.depth = dict.fromkeys(self.nodes, 0)
        while self._deepened():  # a branch may stand before the bit that decides about it
            continue

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
            self._ask(source(value), before)
        for node in reversed(self.nodes):
            if any(v in self.need for v in node.outputs):
                self._ask_inputs(node, self.when(node))

    def _ask_inputs(self, node: ir.Node, when: Condition) -> None:
        bit = self.choices.get(node)
        if bit is None:
            for source in node.inputs:
                self._ask(source, when)
            return
        self._ask(bit, when)
        for source, wanted in zip(node.inputs[1:], (True, False), strict=True):
            self._ask(source, when | {(str(bit.name), wanted)})

    def with_layers(self) -> dict[ir.Node, ir.Value]:
        """The choices that spare some sample a layer."""
        spared = {name for n in self.nodes if n.op_type in LAYERS for name, _ in self.when(n)}
        return {node: bit for node, bit in self.choices.items() if bit.name in spared}

    def when(self, node: ir.Node) -> Condition:
        """When any of its outputs is needed."""
        asked = [self.need[v] for v in node.outputs if v in self.need]
        return frozenset.intersection(*asked) if asked else frozenset()

    def _deepened(self) -> bool:
        """Whether a node turns out to lie deeper than it did."""
        before = list(self.depth.values())
        for node in self.nodes:
            self.depth[node] = self._depth(node)
        return before != list(self.depth.values())

    def _depth(self, node: ir.Node) -> int:
        """How many programs must have run before."""
        bit = self.choices.get(node)
        read = node.inputs if bit is None else (bit, *node.inputs[1:])
        makers = [p for v in read if v is not None and (p := self._maker(v)) is not None]
        if bit is not None:
            return max((self.depth[p] for p in makers), default=0) + 1
        when = self.when(node)
        least = [self.depth[p] + (p not in self.choices and self.when(p) != when) for p in makers]
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
            if node in self.choices:
                order[self.depth[node], 0, place] = [node]
            else:
                groups.setdefault((self.depth[node], self.when(node)), []).append(node)
        for (depth, _), nodes in groups.items():
            order[depth, 1, self.nodes.index(nodes[0])] = nodes
        batch = self._batch()
        steps = [self._step(order[key]) for key in sorted(order)]
        graph = self.model.graph
        inputs = tuple(str(stored(v).name) for v in graph.inputs)
        outputs = tuple(str(source(v).name) for v in graph.outputs)
        found = Split(steps=tuple(steps), inputs=inputs, outputs=outputs, cuts=cuts, batch=batch)
        _check(found)
        return found

    def _batch(self) -> int:
        return next(prod(shape(bit)) for bit in self.bits.values())

    def _step(self, nodes: list[ir.Node]) -> Piece | Choice:
        if nodes[0] in self.choices:
            yes, no = (str(operand(nodes[0], i).name) for i in (1, 2))
            bit = str(self.choices[nodes[0]].name)
            return Choice(name=str(nodes[0].outputs[0].name), bit=bit, yes=yes, no=no)
        inside = set(nodes)
        made = [v for n in nodes for v in n.outputs if v.name]
        read = dict.fromkeys(v for n in nodes for v in n.inputs if v is not None and array(v) is None)
        outer = [v for v in read if v not in set(made)]
        given = [v for v in made if self._is_read_elsewhere(v, inside)]
        when = self.when(nodes[0])
        inputs = in_order(self.model, outer)
        model = extract(self.model, [outside(v) for v in inputs], [exit_of(v) for v in given])
        names = [tuple(str(v.name) for v in side) for side in (inputs, given)]
        return Piece(model=model, reads=names[0], gives=names[1], when=when)

    def _is_read_elsewhere(self, value: ir.Value, inside: set[ir.Node]) -> bool:
        return value.is_graph_output() or value.name in self.bits or any(n not in inside for n, _ in value.uses())


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
