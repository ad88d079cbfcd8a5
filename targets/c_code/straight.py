"""A statement for each gate: the fastest form.

Compilers take more than linear time over one long function. So the gates are cut into functions of a few hundred
statements; what is read in the same function alone is a local variable, all else goes through slots, which are used
again after the function that reads them last.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import numpy as np

from edgegate.graph import Array
from edgegate.logic import Netlist
from edgegate.logic.formula import Formula, columns, formulas, operations, written
from edgegate.logic.listing import narrowed, needed
from edgegate.targets.c_code.core import Core

STATEMENTS = 256
"""Gates of a function."""
INSTRUCTION = 4
"""Bytes of an instruction, one for each operation and each access."""


def straight(netlist: Netlist) -> Core:
    """The gates in their order; those that nothing needs are left out."""
    netlist = needed(narrowed(netlist))
    places = _Places(netlist)
    parts = list(_functions(netlist, places))
    calls = "".join(f"    gates_{i}();\n" for i in range(len(parts)))
    table = formulas()
    work = sum(operations(table[t]) for t in netlist.tables.tolist())
    accesses = places.reads + int(places.stored.sum())
    return Core(
        slots=places.count,
        outputs=(2 * places.slot[netlist.outputs >> 1] + (netlist.outputs & 1)).astype(np.int32),
        text="\n".join(parts) + f"\nstatic void gates(void)\n{{\n{calls}}}\n",
        gates=netlist.gates,
        operations=work,
        accesses=accesses,
        code=INSTRUCTION * (work + accesses),
    )


class _Places:
    """Where the bits are.

    Attributes:
        part: The function that makes a node; -1 for inputs.
        stored: Whether a gate goes to a slot.
        slot: Of every node that has one.
        count: Slots in all.
        reads: Slots that are read, each once in a function.
    """

    def __init__(self, netlist: Netlist) -> None:
        nodes, gates = netlist.first + netlist.gates, netlist.gates
        parts = -(-gates // STATEMENTS)
        self.part = np.full(nodes, -1)
        self.part[netlist.first :] = np.arange(gates) // STATEMENTS
        last = np.full(nodes, -1)
        np.maximum.at(last, netlist.fanins.reshape(-1), np.repeat(self.part[netlist.first :], netlist.k))
        last[0], last[netlist.outputs >> 1] = parts, parts
        self.stored = (last > self.part) & (self.part >= 0)
        own = np.repeat(self.part[netlist.first :], netlist.k)
        read = netlist.fanins.reshape(-1)
        outer = (self.part[read] != own) & (read > 0)
        self.reads = len(np.unique(read[outer].astype(np.int64) * (parts + 1) + own[outer]))
        self.slot = np.arange(nodes)
        self.count = self._assign(netlist.first, last, parts)

    def _assign(self, first: int, last: Array, parts: int) -> int:
        """Give slots away; how many there are."""
        free = [int(node) for node in np.flatnonzero(last[:first] < 0)]
        heapify(free)
        order = np.argsort(last, kind="stable")
        bounds = np.searchsorted(last[order], np.arange(parts + 1))
        stored, count = np.flatnonzero(self.stored), first
        starts = np.searchsorted(self.part[stored], np.arange(parts + 1))
        for part in range(parts):
            for node in stored[starts[part] : starts[part + 1]].tolist():
                if not free:
                    heappush(free, count)
                    count += 1
                self.slot[node] = heappop(free)
            for node in order[bounds[part] : bounds[part + 1]].tolist():
                if node < first or self.stored[node]:
                    heappush(free, int(self.slot[node]))
        return count


def _functions(netlist: Netlist, places: _Places) -> Iterator[str]:
    """The functions that the gates are cut into."""
    table: tuple[Formula, ...] = formulas()
    used = [columns(t) for t in range(256)]
    part, slot, stored = places.part.tolist(), places.slot.tolist(), places.stored.tolist()
    fanins, tables = netlist.fanins.tolist(), netlist.tables.tolist()
    local = np.zeros(len(part), np.bool_)
    same = places.part[netlist.fanins] == places.part[netlist.first :, None]
    local[netlist.fanins[same]] = True
    named = local.tolist()
    for start in range(0, netlist.gates, STATEMENTS):
        statements = []
        for gate in range(start, min(start + STATEMENTS, netlist.gates)):
            node, row, mine = netlist.first + gate, fanins[gate], part[netlist.first + gate]
            names = ["" for _ in row]
            for j in used[tables[gate]]:
                names[j] = f"t{row[j]}" if part[row[j]] == mine else f"s[{slot[row[j]]}]"
            value = f"(W)({written(table[tables[gate]], names, '0u', '~(W)0')})"
            if named[node]:
                statements.append(f"    const W t{node} = {value};\n")
                value = f"t{node}"
            if stored[node]:
                statements.append(f"    s[{slot[node]}] = {value};\n")
        yield f"static void gates_{start // STATEMENTS}(void)\n{{\n{''.join(statements)}}}\n"
