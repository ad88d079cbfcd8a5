"""The program of a block: which warp computes which gates in which step, and where the values lie."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgegate.graph import Array
from edgegate.logic import GroupSum, Netlist
from edgegate.targets.cuda_logic.colouring import Colouring
from edgegate.targets.cuda_logic.encode import COMPACT, Encoder
from edgegate.targets.cuda_logic.gates import Gates
from edgegate.targets.cuda_logic.phases import Crowded, Phase, phases
from edgegate.targets.cuda_logic.shape import Shape
from edgegate.targets.cuda_logic.slots import Slots
from edgegate.targets.cuda_logic.steps import PAD, Kind, Step, steps_of
from edgegate.targets.cuda_logic.teams import READS, Teams, planes
from edgegate.targets.cuda_logic.terms import terms_of

ROUNDS = 6
"""Steps of a warp between two barriers that a phase is made for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The program of a block.

    Attributes:
        shape: Of the block.
        slots: How many slots there are, the ``shape.reserved`` first ones among them.
        given: int32 [inputs]: slot of each input; -1: nothing reads it.
        entries: uint32 [steps, warps, lanes, 2 or 4]: as :mod:`edgegate.targets.cuda_logic.encode` writes them.
        heads: uint32 [steps, warps]: likewise.
        teams: How the lanes count.
        planes: Bits of a lane's counter.
        offset: int32 [K]: added to the counts.
        shown: int32 [O]: slot * 2 + inverted of the netlist's outputs that are given as bits.
        operations: Operands and table of what warps with one table compute.
    """

    shape: Shape
    slots: int
    given: Array = field(repr=False)
    entries: Array = field(repr=False)
    heads: Array = field(repr=False)
    teams: Teams
    planes: int
    offset: Array = field(repr=False)
    shown: Array = field(repr=False)
    operations: tuple[tuple[int, int], ...]

    def image(self) -> tuple[Array, Array]:
        """Entries and heads as the kernel reads them, flat: the first two steps stand once more behind the last."""
        again = np.arange(len(self.heads) + 2) % len(self.heads)
        return self.entries[again].ravel(), self.heads[again].ravel()


def plan(
    netlist: Netlist, sums: GroupSum | None, shape: Shape, *, limit: int, shown: int = 0, rounds: int = ROUNDS
) -> Plan:
    """The program of a block of ``shape``.

    Args:
        netlist: Gates of at most three inputs.
        sums: What is counted of its outputs.
        shape: Of the block.
        limit: Most slots.
        shown: How many of the netlist's outputs, the last ones, are given as bits.
        rounds: Steps of a warp between two barriers.

    Raises:
        Crowded: ``limit`` is too low.
        ValueError: A gate has more than three inputs, or the sums have too many terms.
    """
    return _Planner(netlist, sums, shape, limit, shown, rounds).made()


class _Planner:
    """A plan under construction."""

    def __init__(
        self, netlist: Netlist, sums: GroupSum | None, shape: Shape, limit: int, shown: int, rounds: int
    ) -> None:
        self.shape, self.limit, self.rounds = shape, limit, rounds
        self.rng = np.random.default_rng(0)
        netlist, self.terms, self.offset = terms_of(netlist, sums)
        self.netlist, self.gates = netlist, Gates.of(netlist)
        self.teams = Teams.of(shape, len(self.terms), max(map(len, self.terms), default=0))
        self.slots = Slots(shape.colours, limit, shape.reserved)
        self.slot = np.zeros(netlist.first + netlist.gates, np.int64)
        self.encoder = Encoder(shape, wide=limit > COMPACT)
        self.lane_terms: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self.counted: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.outputs = netlist.outputs[len(netlist.outputs) - shown :]

    def made(self) -> Plan:
        first, later = self.terms[: self.teams.at_once], self.terms[self.teams.at_once :]
        counted = sorted({node for terms in first for node in terms})
        pinned = sorted({node for terms in later for node in terms} | set((self.outputs >> 1).tolist()) - {0})
        for k, terms in enumerate(first):
            for node in terms:
                self.counted[node][k] += 1
        found = phases(
            self.netlist,
            self.gates,
            counted,
            pinned,
            room=self.limit - self.shape.reserved,
            due=self._due,
            fit=self._fit,
            lanes=self.shape.gates,
        )
        sums_of = {node: list(own) for node, own in self.counted.items()}
        self.colouring = Colouring(self.gates, found, sums_of, self.shape.colours, self.rng)
        given = self._inputs([*counted, *pinned])
        for phase in found:
            self._phase(phase)
        self._rounds()
        while not self.encoder.steps or self.encoder.steps % 2:
            self.encoder.rest()
        shown = 2 * self.slot[self.outputs >> 1] + (self.outputs & 1)
        return Plan(
            shape=self.shape, slots=self.slots.used, given=given, entries=self.encoder.entries(),
            heads=self.encoder.heads(), teams=self.teams,
            planes=planes(max(self.lane_terms.values(), default=0)), offset=self.offset,
            shown=shown.astype(np.int32), operations=tuple(self.encoder.operations),
        )  # fmt: skip

    def _due(self, pending: list[int], forced: bool) -> list[int]:
        """What a phase counts: full steps of every sum, or all if it must be."""
        if forced:
            return pending
        step = READS * self.teams.each * self.teams.lanes
        left = Counter(self._terms_of_sums(pending))
        for k in left:
            left[k] -= left[k] % step
        found = []
        for node in pending:
            if all(left[k] >= n for k, n in self.counted[node].items()):
                left.subtract(self.counted[node])
                found.append(node)
        return found

    def _terms_of_sums(self, nodes: Sequence[int]) -> Counter[int]:
        """How many terms of each sum the nodes are."""
        found: Counter[int] = Counter()
        for node in nodes:
            found.update(self.counted[node])
        return found

    def _fit(self, counted: list[int], most: int) -> int:
        """Gates that keep all warps busy for up to :attr:`rounds` steps beside counting these nodes."""
        if most <= 0:
            return 0
        step = READS * self.teams.each * self.teams.lanes
        busy = self._terms_of_sums(counted)
        steps = sum(-(-n // step) for n in busy.values()) * self.teams.each // self.teams.in_warp
        most_turns = max(self.rounds, 1 + -(-steps // self.shape.warps))
        fits = [(turns * self.shape.warps - steps) * self.shape.gates for turns in range(1, most_turns + 1)]
        return max((n for n in fits if 0 < n <= most), default=most)

    def _inputs(self, kept: Sequence[int]) -> Array:
        """Slots for the inputs that are read."""
        read = np.zeros(len(self.slot), bool)
        read[self.gates.operands] = True
        read[list(kept)] = True
        given = np.full(self.netlist.inputs, -1, np.int32)
        for i in np.flatnonzero(read[1 : self.netlist.first]).tolist():
            given[i] = self._settle(1 + i, range(self.shape.colours))
        return given

    def _settle(self, node: int, colours: Sequence[int]) -> int:
        """A slot for a node, of one of the colours where possible."""
        slot = self.slots.take(self.colouring.best(node, colours))
        self.colouring.settle(node, slot % self.shape.colours)
        self.slot[node] = slot
        return slot

    def _phase(self, phase: Phase) -> None:
        found = steps_of(phase.gates, self.gates, self.slot % self.shape.colours, self.shape, self.rng)
        counting = self._counting(self.terms[: self.teams.at_once], 0, set(phase.counted))
        for step in found:
            self._place(step)
        order = self.rng.permutation(len(found))
        self.encoder.phase([found[i] for i in order], counting, self.gates, self.slot)
        for node in phase.dying:
            self.slots.give(int(self.slot[node]))

    def _place(self, step: Step) -> None:
        """Slots for what a step makes: those of a set have different colours where possible."""
        colours = self.shape.colours
        for start in range(0, len(step.gates), colours):
            left = set(range(colours))
            for gate in step.gates[start : start + colours].tolist():
                if gate != PAD:
                    left.discard(self._settle(self.gates.first + gate, sorted(left)) % colours)

    def _counting(self, sums: Sequence[Sequence[int]], start: int, nodes: set[int]) -> dict[int, list[list[list[int]]]]:
        """What the warps count of ``nodes``: by warp, steps of lists of up to four terms for each lane."""
        lanes: dict[tuple[int, int], list[int]] = {}
        for k, terms in enumerate(sums, start):
            due = [int(self.slot[node]) for node in terms if node in nodes]
            for place, read in self.teams.shared_out(k, due).items() if due else ():
                lanes.setdefault(place, []).extend(read)
                self.lane_terms[(start, *place)] += len(read)
        found: dict[int, list[list[list[int]]]] = {}
        for warp in sorted({warp for warp, _ in lanes}):
            own = [lanes.get((warp, lane), []) for lane in range(self.shape.gates)]
            longest = max(map(len, own))
            found[warp] = [[terms[i : i + READS] for terms in own] for i in range(0, longest, READS)]
        return found

    def _rounds(self) -> None:
        """The sums that find no team while the gates run."""
        at_once = self.teams.at_once
        for start in range(0, len(self.terms), at_once or 1):
            part = self.terms[start : start + at_once]
            if start:
                counting = self._counting(part, start, {node for terms in part for node in terms})
                self.encoder.phase([], counting, self.gates, self.slot)
            self.encoder.flush()


__all__ = ["Crowded", "Kind", "Plan", "plan"]
