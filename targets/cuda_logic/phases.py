"""Which gates run between which barriers: few barriers, and few values alive at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgegate.graph import Array
from edgegate.logic import Netlist
from edgegate.targets.cuda_logic.gates import Gates


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What runs between two barriers.

    Attributes:
        gates: Numbers of the gates; all that they read was made in earlier phases.
        counted: Nodes that the sums read in this phase; made in earlier phases.
        dying: Nodes that nothing reads after this phase: their slots are free from the next one on.
    """

    gates: list[int] = field(repr=False)
    counted: list[int] = field(repr=False)
    dying: list[int] = field(repr=False)


class Crowded(Exception):
    """The values do not fit."""


@dataclass(kw_only=True)
class _State:
    """The network while its phases are chosen."""

    gates: Gates
    operands: list[list[int]]
    readers: list[list[int]]
    uses: list[int]
    missing: list[int]
    pending: dict[int, None]
    """Nodes made and to be counted, not counted yet."""
    levels: Array
    kinds: list[int]
    """Of each gate: gates of the same kind can share a step."""
    live: int = 0

    def read(self, node: int, dying: list[int]) -> None:
        """One of the reads of a node is done."""
        self.uses[node] -= 1
        if self.uses[node] == 0:
            dying.append(node)

    def urgency(self, gate: int) -> tuple[int, float]:
        """Lower levels first; of one level, gates that free their operands soon."""
        return int(self.levels[self.gates.first + gate]), -sum(1 / self.uses[f] for f in self.operands[gate])


def phases(
    netlist: Netlist,
    gates: Gates,
    counted: Sequence[int],
    pinned: Sequence[int],
    *,
    room: int,
    due: Callable[[list[int], bool], list[int]],
    fit: Callable[[list[int], int], int],
    lanes: int,
) -> list[Phase]:
    """Cut a network into phases.

    Args:
        netlist: The network.
        gates: Its gates.
        counted: Nodes that are summed: each is read once more, in a phase after its own.
        pinned: Nodes that are read after the last phase.
        room: Most values alive at a time, the inputs that are used among them.
        due: Of the nodes that may be counted, those that a phase should count; all of them if the flag is set, because
            there is little room or nothing else to do.
        fit: How many gates a phase should have that counts these nodes and may have that many.
        lanes: Gates that a warp computes at a time if they have the same table.

    Raises:
        Crowded: More values than ``room`` would have to be alive.
    """
    state = _begin(netlist, gates, counted, pinned)
    wanted = set(counted)
    ready = [g for g in range(len(gates)) if not state.missing[g]]
    made: list[Phase] = []
    while ready or state.pending:
        ready.sort(key=state.urgency)
        most = min(room - state.live, len(ready))
        pending = list(state.pending)
        sums = due(pending, most < fit([], room))
        take = _alike(ready, fit(sums, most), state.kinds, lanes)
        if not take and not sums:
            raise Crowded(f"more than {room} values would be alive at a time")
        made.append(_run(state, take, sums, wanted))
        gone = set(take)
        ready = [g for g in ready if g not in gone] + _released(state, take)
    return made


def _alike(ready: list[int], wanted: int, kinds: list[int], lanes: int) -> list[int]:
    """About the first ``wanted`` of the gates, but of each kind a multiple of ``lanes`` where there are enough."""
    if wanted >= len(ready):
        return ready
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for g in ready:
        groups[kinds[g]].append(g)
    first = Counter(kinds[g] for g in ready[:wanted])
    quota = {kind: n - n % lanes for kind, n in first.items()}
    left = wanted - sum(quota.values())
    while left >= lanes:
        able = [kind for kind, own in groups.items() if len(own) >= quota.get(kind, 0) + lanes]
        if not able:
            break
        most = max(able, key=lambda kind: first[kind] - quota.get(kind, 0))
        quota[most] = quota.get(most, 0) + lanes
        left -= lanes
    take = [g for kind, n in quota.items() for g in groups[kind][:n]]
    gone = set(take)
    return take + [g for g in ready if g not in gone][:left]


def _begin(netlist: Netlist, gates: Gates, counted: Sequence[int], pinned: Sequence[int]) -> _State:
    operands = [sorted(set(row) - {0}) for row in gates.operands.tolist()]
    readers: list[list[int]] = [[] for _ in range(gates.first + len(gates))]
    for g, row in enumerate(operands):
        for f in row:
            readers[f].append(g)
    uses = [len(r) for r in readers]
    for node in (*counted, *pinned):
        uses[node] += 1
    missing = [sum(f >= gates.first for f in row) for row in operands]
    inputs = {node: None for node in counted if 0 < node < gates.first}
    live = sum(1 for node in range(1, gates.first) if uses[node])
    kinds = (gates.arity.astype(np.int64) * 256 + gates.tables).tolist()
    return _State(
        gates=gates, operands=operands, readers=readers, uses=uses, missing=missing, pending=inputs,
        levels=netlist.levels, kinds=kinds, live=live,
    )  # fmt: skip


def _run(state: _State, take: list[int], sums: list[int], wanted: set[int]) -> Phase:
    """Run the gates ``take`` and count ``sums``."""
    dying: list[int] = []
    for node in sums:
        del state.pending[node]
        state.read(node, dying)
    for g in take:
        for f in state.operands[g]:
            state.read(f, dying)
        node = state.gates.first + g
        if node in wanted:
            state.pending[node] = None
        if not state.uses[node]:
            dying.append(node)
    state.live += len(take) - len(dying)
    return Phase(gates=take, counted=sums, dying=dying)


def _released(state: _State, take: list[int]) -> list[int]:
    """The gates that can run now that ``take`` has run."""
    found = []
    for g in take:
        for reader in state.readers[state.gates.first + g]:
            state.missing[reader] -= 1
            if not state.missing[reader]:
                found.append(reader)
    return found


def peak(found: Sequence[Phase], inputs: int) -> int:
    """Most values alive at a time."""
    live, most = inputs, inputs
    for phase in found:
        live += len(phase.gates)
        most = max(most, live)
        live -= len(phase.dying)
    return most


def occupancy(found: Sequence[Phase]) -> Array:
    """int64 [phases]: gates of each phase."""
    return np.array([len(phase.gates) for phase in found], np.int64)
