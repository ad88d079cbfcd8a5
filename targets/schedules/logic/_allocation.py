"""Which values of a network are in registers and which in memory: decided here, for the whole network at once.

LLVM's register allocation takes more than linear time for a block of ten thousands of statements, and bounds at
functions would force values through memory. What is known here, and is nowhere else, is the next use of every value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from edgegate.logic import Netlist

NEVER = 1 << 60
"""Next use of a value that is not read again."""
STORED = 3
"""A value that memory holds already may be needed so much sooner and is still the one to give its register up."""

Instruction = tuple[str, int, int, tuple[int, ...]]
"""("load", register, slot, ()), ("store", slot, register, ()), ("copy", register, register, ()), or
("gate", register, table, sources): a source is a register, or ``~slot`` for what the gate reads from memory."""


class Machine(Protocol):
    """What the allocation has to know of a processor."""

    registers: int

    def in_place(self, table: int, count: int) -> Sequence[int] | None:
        """Which sources the result of a gate of ``count`` inputs may overwrite; None: it goes to any register."""

    def folds(self, table: int, count: int, place: int) -> bool:
        """Whether a gate can read that source from memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Code:
    """Instructions over registers and slots of memory.

    Attributes:
        instructions: In order.
        slots: Number of slots. Slot 0 holds false, slot ``i`` up to ``inputs`` the input bit of node ``i``; both are
            there before the first instruction.
        outputs: Slot of every output node at the end.
    """

    instructions: list[Instruction] = field(repr=False)
    slots: int
    outputs: dict[int, int] = field(repr=False)


def allocate(netlist: Netlist, machine: Machine) -> Code:
    """Registers and slots for a netlist in the normal form of ``share_gates``, its gates in the order given.

    The register to give up is that of the value whose next use is the farthest (Belady, A Study of Replacement
    Algorithms for a Virtual-Storage Computer, 1966); values are written to memory once at most, when they lose their
    register. The slot that came free last is taken first: it is still in the cache.
    """
    return _Allocation(netlist, machine).run()


class _Allocation:
    def __init__(self, netlist: Netlist, machine: Machine) -> None:
        size = netlist.first + netlist.gates
        self.machine, self.first = machine, netlist.first
        self.rows = [[f for f in row if f] for row in netlist.fanins.tolist()]
        self.tables = [
            t & (1 << (1 << len(row))) - 1 for t, row in zip(netlist.tables.tolist(), self.rows, strict=True)
        ]
        self.uses = [[NEVER] for _ in range(size)]
        for i in range(len(self.rows) - 1, -1, -1):
            for f in self.rows[i]:
                self.uses[f].append(i)
        self.kept = {o >> 1 for o in netlist.outputs.tolist()}
        self.register = [-1] * size
        self.slot = [*range(self.first), *[-1] * netlist.gates]
        self.slots, self.free_slots = self.first, list[int]()
        self.holds = [-1] * machine.registers
        self.free = list(range(machine.registers - 1, -1, -1))
        self.code: list[Instruction] = []

    def run(self) -> Code:
        for i in range(len(self.rows)):
            self._gate(i)
        return Code(instructions=self.code, slots=self.slots, outputs={node: self.slot[node] for node in self.kept})

    def _gate(self, i: int) -> None:
        node, operands, table, uses = self.first + i, self.rows[i], self.tables[i], self.uses
        for v in operands:
            uses[v].pop()
        absent = sorted([v for v in operands if self.register[v] < 0], key=lambda v: -uses[v][-1])
        places = self.machine.in_place(table, len(operands))
        over, target = (-1, -1) if places is None else self._overwrite(i, [operands[j] for j in places], absent)
        folded = self._folded(table, operands, absent, over)
        for v in absent:
            if v not in (over, folded):
                self._load(v, i, operands)
        sources = [target if v == over else ~self.slot[v] if v == folded else self.register[v] for v in operands]
        self._release(operands)
        if places is None:
            target = self._register(i, operands)
        self.code.append(("gate", target, table, tuple(sources)))
        self._free_slots(operands)
        self._made(node, target)

    def _folded(self, table: int, operands: list[int], absent: list[int], over: int) -> int:
        """The operand that the gate reads from memory, or -1."""
        for v in absent:
            if v != over and self.machine.folds(table, len(operands), operands.index(v)):
                return v
        return -1

    def _overwrite(self, i: int, candidates: list[int], absent: list[int]) -> tuple[int, int]:
        """The operand that gate ``i`` overwrites, one of ``candidates``, and the register that holds it for that."""
        uses, register = self.uses, self.register
        for v in candidates:
            if register[v] >= 0 and uses[v][-1] == NEVER:
                return v, register[v]
        for v in candidates:
            if register[v] >= 0 and self._recovered(i, v):
                return v, register[v]
        for v in absent:
            if v in candidates:
                target = self._register(i, self.rows[i])
                self.code.append(("load", target, self.slot[v], ()))
                return v, target
        v = max(candidates, key=lambda v: uses[v][-1])
        if self.slot[v] >= 0 and not self.free:
            return v, register[v]
        target = self._register(i, self.rows[i])
        self.code.append(("copy", target, register[v], ()))
        return v, target

    def _recovered(self, i: int, v: int) -> bool:
        """Let the next gate do without ``v``, which it would read last, if it reads what gate ``i`` reads.

        The sum of an adder tells what any of its bits was, if the others are known: the carry is a function of the
        sum and the other bits, so that the sum may overwrite a bit.
        """
        uses, rows, node = self.uses, self.rows, self.first + i
        if uses[v][-1] != i + 1 or uses[v][-2] != NEVER or sorted(rows[i]) != sorted(rows[i + 1]):
            return False
        places = tuple(rows[i].index(f) for f in rows[i + 1])
        table = recovered(self.tables[i], rows[i].index(v), self.tables[i + 1], places)
        if table is None:
            return False
        self.tables[i + 1] = table
        rows[i + 1] = [node if f == v else f for f in rows[i + 1]]
        uses[v].pop()
        uses[node].append(i + 1)
        return True

    def _register(self, now: int, needed: list[int]) -> int:
        """A register that is free, or is from now on; ``needed`` keep theirs."""
        if self.free:
            return self.free.pop()
        farthest, found = -1, -1
        for r, v in enumerate(self.holds):
            if v >= 0 and v not in needed:
                distance = self.uses[v][-1] - now
                if self.slot[v] >= 0:
                    distance *= STORED
                if distance > farthest:
                    farthest, found = distance, r
        value = self.holds[found]
        if self.slot[value] < 0:
            self._store(value, found)
        self.register[value] = self.holds[found] = -1
        return found

    def _store(self, value: int, register: int) -> None:
        if self.free_slots:
            slot = self.free_slots.pop()
        else:
            slot, self.slots = self.slots, self.slots + 1
        self.slot[value] = slot
        self.code.append(("store", slot, register, ()))

    def _load(self, value: int, now: int, needed: list[int]) -> None:
        found = self._register(now, needed)
        self.code.append(("load", found, self.slot[value], ()))
        self.register[value], self.holds[found] = found, value

    def _release(self, operands: list[int]) -> None:
        """Let go of the registers of operands that are not read again."""
        for v in operands:
            found = self.register[v]
            if found >= 0 and self.uses[v][-1] == NEVER:
                self.register[v] = self.holds[found] = -1
                self.free.append(found)

    def _free_slots(self, operands: list[int]) -> None:
        for v in operands:
            if self.uses[v][-1] == NEVER and self.slot[v] >= 0 and v not in self.kept:
                self.free_slots.append(self.slot[v])
                self.slot[v] = -1

    def _made(self, node: int, target: int) -> None:
        """The register ``target`` holds ``node`` from now on, whatever it held."""
        before = self.holds[target]
        if before >= 0:
            self.register[before] = -1
        if target in self.free:
            self.free.remove(target)
        self.register[node], self.holds[target] = target, node
        if node in self.kept:
            self._store(node, target)
        self._release([node])


@cache
def recovered(first: int, place: int, second: int, places: tuple[int, ...]) -> int | None:
    """The second table with the first gate's result in place of a bit that both read; None: the bit is not told.

    Args:
        first: Table of the first gate.
        place: Which of its inputs is not read again.
        second: Table of the second gate, over the same inputs.
        places: Which input of the first gate each input of the second is.
    """
    count, result = len(places), 0
    for address in range(1 << count):
        others = sum((address >> j & 1) << p for j, p in enumerate(places) if p != place)
        made = address >> places.index(place) & 1
        told = [bit for bit in (0, 1) if (first >> (others | bit << place) & 1) == made]
        if len(told) != 1:
            return None
        given = others | told[0] << place
        result |= (second >> sum((given >> p & 1) << j for j, p in enumerate(places)) & 1) << address
    return result
