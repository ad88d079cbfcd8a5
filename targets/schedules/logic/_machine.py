"""Instruction sets that networks of gates are written in, as the assembler's text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import ClassVar

AND, OR, XOR = 0b1000, 0b1110, 0b0110
FIRST, SECOND = 0b0010, 0b0100
"""One of the inputs, and not the other."""


@cache
def permuted(table: int, order: tuple[int, ...]) -> int:
    """The table over the inputs ``order``: its input ``j`` is what input ``order[j]`` was."""
    return sum(
        (table >> sum((address >> j & 1) << place for j, place in enumerate(order)) & 1) << address
        for address in range(1 << len(order))
    )


class Machine:
    """An instruction set.

    Attributes:
        name: As :class:`Cpu` has it.
        registers: Registers for values.
        inputs: Most inputs of a gate.
        widths: Bytes of a value, from the narrowest.
        operations: Instructions by table, of gates of two inputs.
        width: The one in use.
    """

    name: str
    registers: int
    inputs = 2
    widths: tuple[int, ...]
    operations: ClassVar[Mapping[int, str]]

    def __init__(self, width: int) -> None:
        if width not in self.widths:
            raise ValueError(f"{self.name} has registers of {self.widths} bytes, not {width}")
        self.width = width

    def in_place(self, table: int, count: int) -> Sequence[int] | None:
        """Which sources the result may overwrite; None: it goes to any register."""
        return None

    def folds(self, table: int, count: int, place: int) -> bool:
        """Whether a gate can read that source from memory."""
        return False

    def enter(self) -> Iterator[str]:
        """The start of a function of the address of slot 0."""
        raise NotImplementedError

    def leave(self) -> Iterator[str]:
        """The end of the function."""
        raise NotImplementedError

    def load(self, register: int, slot: int) -> str:
        """Read a slot."""
        raise NotImplementedError

    def store(self, slot: int, register: int) -> str:
        """Write a slot."""
        raise NotImplementedError

    def copy(self, to: int, register: int) -> str:
        """Copy a register."""
        raise NotImplementedError

    def gate(self, to: int, table: int, sources: tuple[int, ...]) -> str:
        """Compute a gate."""
        raise NotImplementedError
