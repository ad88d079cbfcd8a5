"""AArch64: Neon, 32 registers, gates of two inputs, bic for and-not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from edgegate.targets.schedules.logic._machine import AND, FIRST, OR, SECOND, XOR, Machine

BASES = 16
"""x0 to x15 may be changed by a function."""
REACH = 4096
"""Slots above a base register that the displacement tells apart."""


class Neon(Machine):
    """Any register, of 16 bytes."""

    name, registers, widths = "neon", 32, (16,)
    operations: ClassVar = {AND: "and", OR: "orr", XOR: "eor", FIRST: "bic", SECOND: "bic"}

    def enter(self) -> Iterator[str]:
        """Save the halves of v8 to v15 that the caller owns; base registers."""
        yield "stp d8, d9, [sp, #-64]!"
        yield from (f"stp d{i}, d{i + 1}, [sp, #{8 * (i - 8)}]" for i in (10, 12, 14))
        yield from (f"add x{i}, x0, #{i * REACH * self.width >> 12}, lsl #12" for i in range(1, BASES))

    def leave(self) -> Iterator[str]:
        """Give them back."""
        yield from (f"ldp d{i}, d{i + 1}, [sp, #{8 * (i - 8)}]" for i in (10, 12, 14))
        yield "ldp d8, d9, [sp], #64"
        yield "ret"

    def _moved(self, what: str, register: int, slot: int) -> str:
        base, offset = divmod(slot, REACH)
        if base < BASES:
            return f"{what} q{register}, [x{base}, #{offset * self.width}]"
        far = slot * self.width
        return f"movz x16, #{far & 0xFFFF}\nmovk x16, #{far >> 16}, lsl #16\n{what} q{register}, [x0, x16]"

    def load(self, register: int, slot: int) -> str:
        """Read a slot."""
        return self._moved("ldr", register, slot)

    def store(self, slot: int, register: int) -> str:
        """Write a slot."""
        return self._moved("str", register, slot)

    def copy(self, to: int, register: int) -> str:
        """Copy a register."""
        return f"mov v{to}.16b, v{register}.16b"

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """One instruction; bic inverts its second operand."""
        a, b = sources if table != SECOND else sources[::-1]
        return f"{self.operations[table]} v{to}.16b, v{a}.16b, v{b}.16b"
