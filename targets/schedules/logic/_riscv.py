"""RISC-V: the integer registers of any 64-bit processor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from edgegate.targets.schedules.logic._machine import AND, FIRST, OR, SECOND, XOR, Machine

SAVED = tuple(f"s{i}" for i in range(12))
NAMES = (*(f"a{i}" for i in range(4, 8)), *(f"t{i}" for i in range(1, 7)), *SAVED)
BASES = ("a0", "a1", "a2", "a3")
REACH = 512
"""Slots around a base register that the displacement tells apart."""


class Rv64(Machine):
    """Words of 64 bits; t0 is for what takes two instructions."""

    name, registers, widths = "rv64", len(NAMES), (8,)
    operations: ClassVar = {AND: "and", OR: "or", XOR: "xor"}

    def enter(self) -> Iterator[str]:
        """Save registers of the caller; base registers, into the middle of what they reach."""
        yield f"addi sp, sp, -{8 * len(SAVED)}"
        yield from (f"sd {name}, {8 * i}(sp)" for i, name in enumerate(SAVED))
        for i, name in reversed(list(enumerate(BASES))):
            yield f"li t0, {self.width * (i * REACH + REACH // 2)}"
            yield f"add {name}, a0, t0"

    def leave(self) -> Iterator[str]:
        """Give them back."""
        yield from (f"ld {name}, {8 * i}(sp)" for i, name in enumerate(SAVED))
        yield f"addi sp, sp, {8 * len(SAVED)}"
        yield "ret"

    def _moved(self, what: str, register: int, slot: int) -> str:
        base, offset = divmod(slot, REACH)
        if base < len(BASES):
            return f"{what} {NAMES[register]}, {self.width * (offset - REACH // 2)}({BASES[base]})"
        far = self.width * (slot - REACH // 2)
        return f"li t0, {far}\nadd t0, t0, a0\n{what} {NAMES[register]}, 0(t0)"

    def load(self, register: int, slot: int) -> str:
        """Read a slot."""
        return self._moved("ld", register, slot)

    def store(self, slot: int, register: int) -> str:
        """Write a slot."""
        return self._moved("sd", register, slot)

    def copy(self, to: int, register: int) -> str:
        """Copy a register."""
        return f"mv {NAMES[to]}, {NAMES[register]}"

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """One instruction, or two for and-not."""
        a, b = (NAMES[place] for place in sources)
        if table in (FIRST, SECOND):
            a, b = (a, b) if table == FIRST else (b, a)
            return f"not t0, {b}\nand {NAMES[to]}, {a}, t0"
        return f"{self.operations[table]} {NAMES[to]}, {a}, {b}"
