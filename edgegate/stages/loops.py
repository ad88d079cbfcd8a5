"""Loops over a sequence: a stretch of the graph between a ``Begin`` and an ``End``.

Passes see a loop laid flat: the nodes of one step stand in the graph like all others, between two nodes of the domain
``edgegate.loop`` that stand for time. So no pass needs to know of loops, and what does not depend on the step is
outside of it. Engines see a Scan (:mod:`edgegate.stages.scans`).

- ``Begin <loop, states, reverse>(initial..., sequences...) => (states..., elements...)``
- ``End <loop, states, reverse>(next..., elements...) => (final..., sequences...)``

``loop`` is the name that the two share, ``states`` how many come first, and ``reverse`` says of each sequence, whose
first axis is time, whether it runs from the end (1) or not (0).

Source: the ONNX operator Scan, version 21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgegate.errors import Problem
from edgegate.graph import attribute, shape, where

LOOP = "edgegate.loop"
"""Domain of Begin and End."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One loop, laid flat.

    Attributes:
        begin: Its Begin.
        end: Its End.
        inside: The nodes of a step, in order.
    """

    begin: ir.Node
    end: ir.Node
    inside: tuple[ir.Node, ...]

    @property
    def name(self) -> str:
        """What Begin and End both say."""
        return str(attribute(self.begin, "loop"))

    @property
    def states(self) -> int:
        """How many values one step hands to the next."""
        return int(attribute(self.begin, "states"))

    @property
    def results(self) -> list[ir.Value]:
        """What a step makes: the states of the next one, then elements of sequences."""
        return [v for v in self.end.inputs if v is not None]

    def carried(self) -> list[tuple[ir.Value, ir.Value]]:
        """Each state in a step, and what it is in the next one."""
        count = self.states
        return list(zip(self.begin.outputs[:count], self.results[:count], strict=True))


def is_mark(node: ir.Node) -> bool:
    """Whether the node is a Begin or an End: values go through it as they are."""
    return node.domain == LOOP


def through(node: ir.Node) -> list[tuple[ir.Value, ir.Value]]:
    """(input, output) of a Begin or End."""
    return [(a, b) for a, b in zip(node.inputs, node.outputs, strict=True) if a is not None]


def loops(nodes: Iterable[ir.Node]) -> list[Loop]:
    """Every loop that begins and ends among ``nodes``, in the order of their ends."""
    nodes = list(nodes)
    begins = {attribute(n, "loop"): n for n in nodes if is_mark(n) and n.op_type == "Begin"}
    ends = {attribute(n, "loop"): n for n in nodes if is_mark(n) and n.op_type == "End"}
    return [Loop(begin=begins[k], end=end, inside=_inside(nodes, begins[k], end)) for k, end in ends.items()]


def _inside(nodes: Sequence[ir.Node], begin: ir.Node, end: ir.Node) -> tuple[ir.Node, ...]:
    """The nodes that depend on ``begin`` otherwise than through its End."""
    reached, found = set(begin.outputs), []
    for node in nodes:
        if node is not end and any(v in reached for v in node.inputs if v is not None):
            reached.update(node.outputs)
            found.append(node)
    return tuple(found)


def arranged(nodes: Sequence[ir.Node]) -> Iterator[ir.Node | Loop]:
    """The nodes in an order that runs, each loop in one piece, where its End stands."""
    found = {id(loop.end): loop for loop in loops(nodes)}
    within = {id(n) for loop in found.values() for n in (loop.begin, *loop.inside)}
    for node in nodes:
        if id(node) not in within:
            yield found.get(id(node), node)


def sound(model: ir.Model) -> Iterator[Problem]:
    """What is wrong with the loops of a graph: marks without their other half, steps that leak, shapes that differ."""
    marks = [n for n in model.graph if is_mark(n)]
    for mark in marks:
        if sum(attribute(n, "loop") == attribute(mark, "loop") for n in marks) != 2:
            yield Problem(where=where(mark), what="has no other half", fix="keep Begin and End together")
            return
    for loop in loops(model.graph):
        steps = {id(n) for n in loop.inside}
        made = [*loop.begin.outputs, *(v for n in loop.inside for v in n.outputs)]
        readers = {id(n): n for v in made for n, _ in v.uses() if id(n) not in steps and n is not loop.end}
        for node in [*readers.values(), *(n for n in loop.inside if is_mark(n))]:
            yield Problem(where=where(node), what=f"is no part of a step of {loop.name}", fix="read what End makes")
        for before, after in loop.carried():
            if shape(before) != shape(after) or before.dtype != after.dtype:
                what = f"state {before.name} changes from {shape(before)} to {shape(after)}, or its type"
                yield Problem(where=where(loop.end), what=what, fix="keep the type and shape of a state")
