"""What else a loop takes in, so that less goes in and out: products of two rows, and what reads a whole state.

A state of many rows is made of few, and read by few: k v^T has as many elements as the state, and so has the state of
all steps, while k, v and what q reads of the state are rows. Such nodes stand in the loop. Layers do not: their weights
would be read again in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from edgegate.passes.split_loops._plan import Plan, size

SMALL = 64
"""Bytes of multipliers and the like."""
Nodes = dict[ir.Node, None]
"""A set of nodes in an order."""


def take_in(plan: Plan) -> None:
    """Let each loop of a plan take in what makes less cross its border."""
    for phase in range(1, max(plan.phase.values(), default=0) + 1, 2):
        border = _Border(plan, phase)
        if border.nodes:
            border.move()


class _Border:
    """Around the nodes of one loop."""

    def __init__(self, plan: Plan, phase: int) -> None:
        self.plan, self.phase = plan, phase
        units = [u for u in plan.step if plan.phase[u] == phase]
        self.nodes: Nodes = dict.fromkeys(u for u in units if isinstance(u, ir.Node))
        self.states = [u for u in units if isinstance(u, ir.Value)]

    def move(self) -> None:
        """Take nodes in while that makes less cross."""
        crossing = self._crossing(self.nodes)
        for node, others in list(self._candidates()):
            more = others(node)
            if more is None:
                continue
            if (less := self._crossing(self.nodes | more)) < crossing:
                self.nodes, crossing = self.nodes | more, less
        self.plan.phase.update(dict.fromkeys(self.nodes, self.phase))

    def _candidates(self) -> Iterator[tuple[ir.Node, Callable[[ir.Node], Nodes | None]]]:
        """Nodes before the loop that make much of little, nodes behind it that make little of much."""
        for unit in self.plan.step:
            if not isinstance(unit, ir.Node):
                continue
            given, result = [size(v) for v in self._varying(unit)], sum(map(size, unit.outputs))
            if self.plan.phase[unit] == self.phase - 1 and result > sum(given):
                yield unit, self._until_read
            if self.plan.phase[unit] == self.phase + 1 and result < max(given, default=0):
                yield unit, self._until_made

    def _varying(self, node: ir.Node) -> list[ir.Value]:
        return list(dict.fromkeys(v for v in node.inputs if v is not None and v in self.plan.varying))

    def _until_read(self, node: ir.Node) -> Nodes | None:
        """The node and all between it and the loop; None if something else reads it, or a layer is among them."""
        found, left = {node: None}, [node]
        while left:
            here = left.pop()
            if not self._is_light(here):
                return None
            for reader in dict.fromkeys(r for v in here.outputs for r, _ in v.uses()):
                if reader in self.nodes or reader in found:
                    continue
                if self.plan.phase.get(reader, self.phase + 1) > self.phase:
                    return None
                found[reader] = None
                left.append(reader)
        return found

    def _until_made(self, node: ir.Node) -> Nodes | None:
        """The node and all between the loop and it; None if it waits for another loop, or a layer is among them."""
        found, left = {node: None}, [node]
        while left:
            here = left.pop()
            if not self._is_light(here):
                return None
            for unit in self.plan.sources(self._varying(here)):
                if unit in self.nodes or unit in found or self.plan.phase[unit] <= self.phase:
                    continue
                if not isinstance(unit, ir.Node) or self.plan.phase[unit] != self.phase + 1:
                    return None
                found[unit] = None
                left.append(unit)
        return found

    def _is_light(self, node: ir.Node) -> bool:
        """Whether it reads no more of what is the same in all steps than it makes."""
        same = [v for v in node.inputs if v is not None and v not in self.plan.varying]
        return sum(map(size, same)) <= max(map(size, node.outputs)) + SMALL

    def _crossing(self, nodes: Nodes) -> int:
        """Bytes that go in or out in a step, if the loop is of these nodes."""
        made = dict.fromkeys([*self.states, *(v for n in nodes for v in n.outputs)])
        read = dict.fromkeys(v for n in nodes for v in self._varying(n) if v not in made and v not in self.plan.near)
        return sum(map(size, read)) + sum(size(v) for v in made if self.plan.is_read(v, nodes))
