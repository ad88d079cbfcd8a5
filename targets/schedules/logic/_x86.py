"""x86-64: AVX-512 (a gate of any three inputs is one vpternlog), AVX2, and the SSE2 that every processor has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from edgegate.targets.schedules.logic._machine import AND, FIRST, OR, SECOND, XOR, Machine, permuted

REACH = 256
"""Slots around a base register that the one byte of displacement of AVX-512, in units of a register, tells apart.

An instruction with a displacement of four bytes is longer than ten bytes, and is decoded at half the speed.
"""
BASES = ("rdi", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "rbx", "rbp", "r13", "r14", "r15", "r12")
"""Base registers; the last one needs one byte more."""
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
REGISTERS = {16: "xmm", 32: "ymm", 64: "zmm"}


class X86(Machine):
    """What the three have in common.

    Moves need no alignment: TVM puts small buffers on the stack, at multiples of 16, which is what SSE2's gates need.
    """

    suffix = ""
    """Of instructions that move registers."""
    prefix = "v"
    """Of instructions on vectors."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.names = [f"%{REGISTERS[width]}{i}" for i in range(self.registers)]
        self.move = f"{self.prefix}movdqu{self.suffix}"

    def enter(self) -> Iterator[str]:
        """Nothing has to be saved."""
        yield from ()

    def leave(self) -> Iterator[str]:
        """What follows may be code of SSE."""
        if self.prefix:
            yield "vzeroupper"
        yield "ret"

    def at(self, slot: int) -> str:
        """The operand that is a slot."""
        return f"{slot * self.width}(%rdi)"

    def source(self, place: int) -> str:
        """The operand that is a register, or a slot given as ``~slot``."""
        return self.names[place] if place >= 0 else self.at(~place)

    def load(self, register: int, slot: int) -> str:
        """Read a slot."""
        return f"{self.move} {self.at(slot)}, {self.names[register]}"

    def store(self, slot: int, register: int) -> str:
        """Write a slot."""
        return f"{self.move} {self.names[register]}, {self.at(slot)}"

    def copy(self, to: int, register: int) -> str:
        """Copy a register."""
        return f"{self.move} {self.names[register]}, {self.names[to]}"


class Avx2(X86):
    """Gates of two inputs; the second operand may be in memory."""

    name, registers = "avx2", 16
    widths: tuple[int, ...] = (16, 32)
    operations: ClassVar = {AND: "vpand", OR: "vpor", XOR: "vpxor", FIRST: "vpandn", SECOND: "vpandn"}

    def folds(self, table: int, count: int, place: int) -> bool:
        """All but what vpandn inverts."""
        return table not in (FIRST, SECOND) or place == (table == SECOND)

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """One instruction; vpandn inverts the operand in the middle, which is a register."""
        a, b = sources
        if table == SECOND or b < 0:
            a, b = b, a
        return f"{self.operations[table]} {self.source(a)}, {self.names[b]}, {self.names[to]}"


class Sse2(Avx2):
    """Gates of two inputs, which overwrite the first."""

    name, widths, prefix = "sse2", (16,), ""
    operations: ClassVar = {AND: "pand", OR: "por", XOR: "pxor", FIRST: "pandn", SECOND: "pandn"}

    def in_place(self, table: int, count: int) -> Sequence[int] | None:
        """What pandn inverts, or any."""
        return (int(table == FIRST),) if table in (FIRST, SECOND) else (0, 1)

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """One instruction."""
        a, b = sources
        return f"{self.operations[table]} {self.source(a if b == to else b)}, {self.names[to]}"


class Avx512(X86):
    """Gates of three inputs, which overwrite one; gates of two go to any register."""

    name, registers, widths, inputs, suffix = "avx512", 32, (16, 32, 64), 3, "64"
    operations: ClassVar = {AND: "vpandd", OR: "vpord", XOR: "vpxord", FIRST: "vpandnd"}

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._places: dict[int, str] = {}

    def in_place(self, table: int, count: int) -> Sequence[int] | None:
        """Any of three."""
        return (0, 1, 2) if count == 3 else None

    def folds(self, table: int, count: int, place: int) -> bool:
        """Any."""
        return True

    def enter(self) -> Iterator[str]:
        """Point base registers into the middle of what they reach."""
        yield from (f"pushq %{name}" for name in SAVED)
        middle = REACH // 2 * self.width
        for i, name in reversed(list(enumerate(BASES))):
            yield f"leaq {i * REACH * self.width + middle}(%rdi), %{name}"

    def leave(self) -> Iterator[str]:
        """Give the registers back."""
        yield from (f"popq %{name}" for name in reversed(SAVED))
        yield from super().leave()

    def at(self, slot: int) -> str:
        """The slot from the base register that reaches it; what none reaches, from the last."""
        if slot not in self._places:
            i = min(slot // REACH, len(BASES) - 1)
            self._places[slot] = f"{(slot - i * REACH - REACH // 2) * self.width}(%{BASES[i]})"
        return self._places[slot]

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """One instruction: bit 2 of vpternlog's address is the destination, bit 0 the operand that may be in memory."""
        if len(sources) == 3:
            j = sources.index(to)
            j, k = sorted({0, 1, 2} - {j}, key=lambda place: sources[place])
            order = (j, k, 3 - j - k)
            table = permuted(table, order)
            return f"vpternlogd ${table}, {self.source(sources[j])}, {self.names[sources[k]]}, {self.names[to]}"
        a, b = sources
        if b < 0 or (table == SECOND and a >= 0):
            a, b, table = b, a, permuted(table, (1, 0))
        if table in self.operations:
            return f"{self.operations[table]} {self.source(a)}, {self.names[b]}, {self.names[to]}"
        return f"vpternlogd ${table * 17}, {self.source(a)}, {self.names[b]}, {self.names[to]}"
