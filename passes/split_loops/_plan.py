"""Which nodes of a loop wait for the step before, and which can be computed for all steps at once.

What a node depends on is followed through the states, from step to step. A node that depends on itself stays in a
loop; so does one that has no form for all steps. All else is computed in between: phases 0, 2, ... are for all steps
at once, phases 1, 3, ... are loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import onnx_ir as ir

from edgegate.graph import shape
from edgegate.passes.split_loops._forms import form
from edgegate.passes.split_loops._queues import queue
from edgegate.stages.loops import Loop

WINDOWS = 1 << 20
"""Bytes that the windows of all steps on a queue may have together: they should stay in the second cache."""
Unit = ir.Node | ir.Value
"""A node, or a state as it is in a step."""


def size(value: ir.Value) -> int:
    """Bytes of a value of a step."""
    assert value.dtype is not None, "every value of an integer model has a type"
    return math.prod(shape(value)) * value.dtype.numpy().itemsize


class Plan:
    """How a loop is split.

    Args:
        loop: Laid flat.
        steps: How many.

    Attributes:
        varying: Values that are other ones in each step.
        queues: By the state in a step.
        views: Every value that is rows of a queue.
        near: Those of them that are too many to stand side by side: a loop reads its own in each step.
        recurrent: States that are handed on from step to step.
        step: Nodes and states, as they stand in a step.
        order: The same, none before what it depends on in any step, but those that depend on each other.
        phase: Of each.
    """

    def __init__(self, loop: Loop, steps: int) -> None:
        self.loop, self.steps = loop, steps
        self.varying = {*loop.begin.outputs, *(v for n in loop.inside for v in n.outputs)}
        found = {before: queue(loop, before, after) for before, after in loop.carried()}
        self.queues = {before: q for before, q in found.items() if q is not None}
        circular = self._analyse()
        while circular & self.queues.keys():  # what joins them depends on what is in them
            self.queues = {state: q for state, q in self.queues.items() if state not in circular}
            circular = self._analyse()
        self.recurrent = {before for before, _ in loop.carried() if before in circular}
        self.near = {v for v in self.views if size(v) * steps > WINDOWS}
        self._number(circular)

    def phases(self) -> Iterator[tuple[int, list[Unit]]]:
        """What is computed in each phase, in an order that runs; that of a loop is the order of a step."""
        for phase in range(max(self.phase.values(), default=0) + 1):
            yield phase, [u for u in (self.order, self.step)[phase % 2] if self.phase[u] == phase]

    def sources(self, values: Iterable[ir.Value | None]) -> list[Unit]:
        """What makes these values: nodes, and states; views are the queue itself."""
        found: list[Unit] = []
        for value in values:
            if value is not None and value in self.views:
                found.append(self.views[value].before)
            elif value is not None and value in self.states:
                found.append(value)
            elif value is not None and id(value.producer()) in self.inside:
                found.append(self.inside[id(value.producer())])
        return found

    def is_read(self, value: ir.Value, nodes: Any) -> bool:
        """Whether anything but these nodes reads a value of a step; a state that is handed on is not read."""
        for reader, index in value.uses():
            if reader is self.loop.end:
                if index >= self.loop.states or self.loop.begin.outputs[index] not in self.recurrent:
                    return True
            elif reader not in nodes:
                return True
        return False

    def _analyse(self) -> set[Unit]:
        """Find what depends on what; those that depend on themselves."""
        self.views = {v: q for q in self.queues.values() for v in q.views}
        skipped = {id(n) for q in self.queues.values() for n in q.nodes}
        self.states = {before for before, _ in self.loop.carried()}
        self.inside = {id(n): n for n in self.loop.inside if id(n) not in skipped}
        self.direct: dict[Unit, list[Unit]] = {n: self.sources(n.inputs) for n in self.inside.values()}
        for before, after in self.loop.carried():
            self.direct[before] = self.sources([self.queues[before].rows if before in self.queues else after])
        depends = _depends(self.direct)
        self.step = list(self.direct)
        self.order = sorted(self.direct, key=lambda unit: depends[unit].bit_count())
        return {unit for i, unit in enumerate(self.direct) if depends[unit] >> i & 1}

    def _number(self, circular: set[Unit]) -> None:
        """Number the phases: as early as each can be."""
        looped = {unit for unit in self.step if unit in circular or not self._at_once(unit)}
        self.phase = {unit: int(unit in looped) for unit in self.step}
        changed = True
        while changed:
            changed = False
            for unit in self.order:
                here = unit in looped
                least = max((self.phase[g] + (here != (g in looped)) for g in self.direct[unit]), default=0)
                if least > self.phase[unit]:
                    self.phase[unit], changed = least, True

    def _at_once(self, unit: Unit) -> bool:
        """Whether there is a form of it for all steps."""
        if isinstance(unit, ir.Value):
            return True
        varying = {i for i, v in enumerate(unit.inputs) if v in self.varying}
        return form(unit, varying, self.steps) is not None and not any(v in self.near for v in unit.inputs)


def _depends(direct: dict[Unit, list[Unit]]) -> dict[Unit, int]:
    """All that each node and each state depends on, in any step: a bit for each of them, in their order."""
    bit = {unit: 1 << i for i, unit in enumerate(direct)}
    found = dict.fromkeys(direct, 0)
    changed = True
    while changed:
        changed = False
        for unit, given in direct.items():
            more = found[unit]
            for source in given:
                more |= found[source] | bit[source]
            changed = changed or more != found[unit]
            found[unit] = more
    return found
