"""Which nodes of a loop wait for the step before, and which can be computed for all steps at once.

What a node depends on is followed through the states, from step to step. A node that depends on itself stays in a
loop; so does one that has no form for all steps. All else is computed in between: phases 0, 2, ... are for all steps
at once, phases 1, 3, ... are loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from edgegate.passes.split_loops._forms import form
from edgegate.passes.split_loops._queues import Queue, queue
from edgegate.stages.loops import Loop

Unit = ir.Node | ir.Value
"""A node, or a state as it is in a step."""


@dataclass(kw_only=True)
class Plan:
    """How a loop is split.

    Attributes:
        steps: How many.
        varying: Values that are other ones in each step.
        queues: By the state in a step.
        recurrent: States that are handed on from step to step.
        step: Nodes and states, as they stand in a step.
        order: The same, none before what it depends on in any step, but those that depend on each other.
        phase: Of each.
    """

    steps: int
    varying: set[ir.Value]
    queues: dict[ir.Value, Queue]
    recurrent: set[ir.Value] = field(default_factory=set)
    step: list[Unit] = field(default_factory=list)
    order: list[Unit] = field(default_factory=list)
    phase: dict[Unit, int] = field(default_factory=dict)

    def phases(self) -> Iterator[tuple[int, list[Unit]]]:
        """What is computed in each phase, in an order that runs; that of a loop is the order of a step."""
        for phase in range(max(self.phase.values(), default=0) + 1):
            yield phase, [u for u in (self.order, self.step)[phase % 2] if self.phase[u] == phase]

    def views(self) -> dict[ir.Value, Queue]:
        """Every value that is rows of a queue."""
        return {v: q for q in self.queues.values() for v in q.views}


def plan(loop: Loop, steps: int) -> Plan:
    """Split a loop of so many steps."""
    carried = loop.carried()
    varying = {*loop.begin.outputs, *(v for n in loop.inside for v in n.outputs)}
    queues = {b: q for b, a in carried if (q := queue(loop, b, a)) is not None}
    while True:
        made = Plan(steps=steps, varying=varying, queues=queues)
        direct = _direct(loop, made)
        before = _depends(direct)
        circular = {unit for i, unit in enumerate(direct) if before[unit] >> i & 1}
        if not circular & queues.keys():
            break
        queues = {state: q for state, q in queues.items() if state not in circular}  # what joins depends on what is in
    made.recurrent = {b for b, _ in carried if b in circular}
    made.step, made.order = list(direct), sorted(direct, key=lambda unit: before[unit].bit_count())
    _phases(made, direct, circular)
    return made


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


def _direct(loop: Loop, made: Plan) -> dict[Unit, list[Unit]]:
    """What each node and each state reads, views being the queue itself."""
    views = made.views()
    skipped = {id(n) for q in made.queues.values() for n in q.nodes}
    states = {before for before, _ in loop.carried()}
    inside = {id(n): n for n in loop.inside if id(n) not in skipped}

    def sources(values: Iterable[ir.Value | None]) -> list[Unit]:
        found: list[Unit] = []
        for value in values:
            if value is not None and value in views:
                found.append(views[value].before)
            elif value is not None and value in states:
                found.append(value)
            elif value is not None and id(value.producer()) in inside:
                found.append(inside[id(value.producer())])
        return found

    direct: dict[Unit, list[Unit]] = {n: sources(n.inputs) for n in inside.values()}
    for before, after in loop.carried():
        direct[before] = sources([made.queues[before].rows if before in made.queues else after])
    return direct


def _phases(made: Plan, direct: dict[Unit, list[Unit]], circular: set[Unit]) -> None:
    """Number the phases: as early as each can be."""
    looped = {unit for unit in direct if unit in circular or not _at_once(unit, made)}
    made.phase = {unit: int(unit in looped) for unit in direct}
    changed = True
    while changed:
        changed = False
        for unit in made.order:
            here = unit in looped
            least = max((made.phase[g] + (here != (g in looped)) for g in direct[unit]), default=0)
            if least > made.phase[unit]:
                made.phase[unit], changed = least, True


def _at_once(unit: Unit, made: Plan) -> bool:
    """Whether there is a form of it for all steps."""
    if isinstance(unit, ir.Value):
        return True
    varying = {i for i, v in enumerate(unit.inputs) if v in made.varying}
    return form(unit, varying, made.steps) is not None
