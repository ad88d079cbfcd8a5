"""The covers of BLIF: rows of 0, 1 and - that say where a signal is 1, or where it is 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from edgegate.logic.aig import EVERY, VARIABLES, cofactors, support
from edgegate.logic.circuit import quoted, refuse
from edgegate.logic.netlist import WIDEST

PLANE = frozenset(b"01-")


@dataclass(frozen=True)
class Gate:
    """One table: the line it is from, the signals it reads, their table, the signal it drives."""

    line: int
    reads: list[int]
    table: int
    signal: int


class Covers:
    """The gates of a model, made from covers as they are read."""

    def __init__(self) -> None:
        self.signals = 0
        self.gates: list[Gate] = []
        self._open: tuple[int, list[int], int] | None = None
        self._rows: list[tuple[bytes, ...]] = []
        self._known: dict[tuple[int, tuple[tuple[bytes, ...], ...]], int] = {}

    def signal(self) -> int:
        """The number of a new signal."""
        self.signals += 1
        return self.signals - 1

    def open(self, line: int, reads: list[int], signal: int) -> None:
        """A ``.names``: its rows follow."""
        self._open = (line, reads, signal)
        self._rows = []

    def row(self, line: int, words: list[bytes]) -> None:
        """One row of the cover that is open.

        Raises:
            FileError: None is open, or the row is not as wide, or has other characters.
        """
        if self._open is None:
            raise refuse(line, f"neither a command nor the row of a cover: {quoted(b' '.join(words))}")
        width = len(self._open[1])
        plane = words[0] if width else b""
        right = len(words) == (2 if width else 1) and len(plane) == width and PLANE.issuperset(plane)
        if not right or words[-1] not in (b"0", b"1"):
            raise refuse(line, f"no row of a cover of {width} inputs: {quoted(b' '.join(words))}")
        if self._rows and self._rows[-1][1] != words[-1]:
            raise refuse(line, "a cover is of ones or of zeros, this one mixes them")
        self._rows.append((plane, words[-1]))

    def close(self) -> None:
        """The cover that is open, if any, is complete."""
        if self._open is None:
            return
        (line, reads, signal), self._open = self._open, None
        if len(reads) > WIDEST:
            self._wide(line, reads, signal)
            return
        rows = tuple(self._rows)
        if len(rows) > 64 or (table := self._known.get((len(reads), rows))) is None:
            table = _table(len(reads), rows)
            if len(rows) <= 64:
                self._known[len(reads), rows] = table
        self.gates.append(Gate(line, reads, table, signal))

    def _wide(self, line: int, reads: list[int], signal: int) -> None:
        """A cover of more inputs than a gate may have: its products, and their sum, as trees."""
        off = bool(self._rows) and self._rows[0][1] == b"0"
        products = []
        for plane, _ in self._rows:
            literals = [2 * s + (c == 48) for s, c in zip(reads, plane, strict=True) if c != 45]
            products.append(self._tree(line, literals))
        total = self._tree(line, [p ^ 1 for p in products]) ^ 1  # or, by De Morgan
        value = total >> 1, (total & 1) ^ off
        table = (0b01 if value[1] else 0b10) if total >= 0 else (0b1 if total == -1 else 0b0) ^ off
        self.gates.append(Gate(line, [value[0]] if total >= 0 else [], table, signal))

    def _tree(self, line: int, literals: list[int]) -> int:
        """The conjunction of literals, as a literal; -1 is true and -2 false."""
        if any(x == -2 for x in literals):
            return -2
        literals = [x for x in literals if x != -1]
        while len(literals) > 1:
            groups = [literals[i : i + WIDEST] for i in range(0, len(literals), WIDEST)]
            literals = [self._and(line, group) if len(group) > 1 else group[0] for group in groups]
        return literals[0] if literals else -1

    def _and(self, line: int, literals: list[int]) -> int:
        address = sum(1 << j for j, x in enumerate(literals) if not x & 1)
        signal = self.signal()
        self.gates.append(Gate(line, [x >> 1 for x in literals], 1 << address, signal))
        return 2 * signal


def _table(width: int, rows: tuple[tuple[bytes, ...], ...]) -> int:
    """The table that a cover of up to 6 inputs says."""
    table = 0
    for plane, _ in rows:
        cube = EVERY
        for j, c in enumerate(plane):
            if c != 45:
                cube &= VARIABLES[j] if c == 49 else ~VARIABLES[j]
        table |= cube
    if rows and rows[0][1] == b"0":
        table ^= EVERY
    return table & ((1 << (1 << width)) - 1)


@lru_cache(1 << 12)
def covers_of(table: int, used: tuple[int, ...]) -> list[str]:
    """The rows of a cover for a table of 64 bits, over the inputs ``used``: disjoint products by Shannon expansion."""
    return [f"{row} 1" if used else "1" for row in _products(table, used)]


def _products(table: int, used: tuple[int, ...]) -> list[str]:
    if table == 0:
        return []
    if not used:
        return [""]
    low, high = cofactors(table, used[0])
    if used[0] not in support(table):
        return ["-" + row for row in _products(low, used[1:])]
    rest = used[1:]
    return ["0" + row for row in _products(low, rest)] + ["1" + row for row in _products(high, rest)]
