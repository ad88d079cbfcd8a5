"""An order of the gates in which values are read soon after they are made, and few wait at a time."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import numpy as np

from edgegate.logic import Netlist
from edgegate.passes.logic._no_gc import no_gc
from edgegate.passes.logic.live import far_reads, live_set

CONE = 64
"""Most gates that are looked ahead at: what a goal may still need."""

RECENT = 300
"""Gates back to where a value was last touched for it to be surely near."""

HUB = 64
"""A value that more than so many read is near, and stays: what reads it is not looked at each time it is read."""


@no_gc()
def schedule(netlist: Netlist) -> Netlist:
    """The same gates in another order; outputs are taken to leave as soon as they are made.

    Goals (the outputs; in deep nets gates on the way to them, as far as ``CONE`` gates reach) are met one after the
    other, each with the gates that it still needs. Next is the goal whose gates leave the fewest values behind, let
    the most go, and read the most of those touched last; of equals the one looked at last. Then every gate follows
    whose fanins are all there and that lets one of them go. The order given is kept if it is as good.
    ``carry_save`` follows the order of the gates, so schedule before it.

    Source:
        Greedy, in the manner of list scheduling for register pressure: Goodman and Hsu, Code Scheduling and Register
        Allocation in Large Basic Blocks, ICS 1988.
    """
    order = np.array(_Scheduler(netlist).run(), np.int64) - netlist.first
    found = netlist.reordered(order)
    return min(netlist, found, key=lambda net: (far_reads(net), live_set(net)))


class _Scheduler:
    """What has been scheduled, and what each goal would cost now."""

    def __init__(self, netlist: Netlist) -> None:
        self.first, size = netlist.first, netlist.first + netlist.gates
        self.outputs = (netlist.outputs >> 1).tolist()
        self.fanins = [list[int]() for _ in range(self.first)]
        self.fanins += [[f for f in dict.fromkeys(row) if f >= self.first] for row in netlist.fanins.tolist()]
        self.readers: list[list[int]] = [[] for _ in range(size)]
        for gate in range(self.first, size):
            for f in self.fanins[gate]:
                self.readers[f].append(gate)
        self.left = [len(readers) for readers in self.readers]
        self.done = bytearray([1]) * self.first + bytearray(netlist.gates)
        self.touched = [-RECENT] * size
        self.order: list[int] = []
        self.cones: dict[int, list[int]] = {}
        self.goals: list[list[int]] = [[] for _ in range(size)]
        self.score: dict[int, tuple[int, int]] = {}

    def run(self) -> list[int]:
        """All gates in their new order."""
        self._first_goals()
        heap = [(score, goal) for goal, score in self.score.items()]
        heapify(heap)
        while heap:
            score, goal = heappop(heap)
            if self.score.get(goal) != score:
                continue
            for other in self._meet(goal):
                now = self.score[other] = self._cost(other)
                heappush(heap, (now, other))
        self._make(range(self.first, len(self.done)))
        return self.order

    def _first_goals(self) -> None:
        """The outputs, or what they are made of where they need too much."""
        waiting, seen = self.outputs[::-1], set[int]()
        while waiting:
            gate = waiting.pop()
            if gate not in seen and not self.done[gate]:
                seen.add(gate)
                if not self._aim(gate):
                    waiting.extend(self.fanins[gate])
        for goal in self.cones:
            self.score[goal] = self._cost(goal)

    def _aim(self, gate: int) -> bool:
        """Make ``gate`` a goal if it needs few gates."""
        cone, waiting = {gate}, [gate]
        while waiting:
            for f in self.fanins[waiting.pop()]:
                if not self.done[f] and f not in cone:
                    cone.add(f)
                    waiting.append(f)
            if len(cone) > CONE:
                return False
        self.cones[gate] = sorted(cone)
        for part in cone:
            self.goals[part].append(gate)
        return True

    def _cost(self, goal: int) -> tuple[int, int]:
        """Values left behind, less twice those let go, less those read that were touched lately; then the newest."""
        done, left = self.done, self.left
        cone = [gate for gate in self.cones[goal] if not done[gate]]
        reads: dict[int, int] = {}
        for gate in cone:
            for f in self.fanins[gate]:
                reads[f] = reads.get(f, 0) + 1
        made = sum([left[gate] > reads.get(gate, 0) for gate in cone])
        old = [f for f in reads if done[f]]
        gone = sum([left[f] == reads[f] for f in old])
        since = len(self.order) - RECENT
        near = sum([self.touched[f] >= since for f in old])
        return made - 2 * gone - near, -len(self.order)

    def _meet(self, goal: int) -> list[int]:
        """Schedule what a goal needs; returns the goals that cost something else now, new ones among them."""
        start = len(self.order)
        del self.score[goal]
        self._make([goal])
        self._follow(start)
        changed: dict[int, None] = {}
        for gate in self.order[start:]:
            self.score.pop(gate, None)
            changed.update(dict.fromkeys(self.goals[gate]))
            for f in self.fanins[gate]:
                if len(self.goals[f]) <= HUB:
                    changed.update(dict.fromkeys(self.goals[f]))
            for reader in self.readers[gate]:
                if not self.done[reader] and not self.goals[reader] and self._aim(reader):
                    changed[reader] = None
        return [other for other in changed if not self.done[other]]

    def _make(self, gates: Iterable[int]) -> None:
        """Schedule gates after all that they read."""
        for gate in gates:
            waiting = [gate]
            while waiting:
                gate = waiting[-1]
                needs = [f for f in self.fanins[gate] if not self.done[f]]
                waiting.extend(needs)
                if not needs:
                    waiting.pop()
                    self._emit(gate)

    def _emit(self, gate: int) -> None:
        if not self.done[gate]:
            self.done[gate] = 1
            self.order.append(gate)
            now = self.touched[gate] = len(self.order)
            for f in self.fanins[gate]:
                self.left[f] -= 1
                self.touched[f] = now

    def _follow(self, start: int) -> None:
        """Schedule every gate that is ready and lets a value go, after each of the gates from place ``start`` on."""
        place = start
        while place < len(self.order):
            gate = self.order[place]
            place += 1
            for part in (*self.fanins[gate], gate):
                readers = self.readers[part]
                for reader in readers if len(readers) <= HUB or self.left[part] == 1 else ():
                    if not self.done[reader] and self._ready(reader):
                        self._emit(reader)

    def _ready(self, gate: int) -> bool:
        """Whether all is there that ``gate`` reads, and one of it is then read for the last time."""
        fanins = self.fanins[gate]
        return all([self.done[f] for f in fanins]) and any([self.left[f] == 1 for f in fanins])
