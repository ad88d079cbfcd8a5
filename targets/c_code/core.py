"""What the forms of a network in C have in common: words in slots, and arrays of constants."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from edgegate.graph import Array
from edgegate.logic import GroupSum


@dataclass(frozen=True, kw_only=True, eq=False)
class Core:
    """The gates of a network: C that computes slots of the array ``s`` from others.

    Attributes:
        slots: Words of ``s``; slot 0 is false, the inputs start in slot 1.
        outputs: int32: literals of slots, for each output of the netlist.
        text: C that defines ``static void gates(void)``.
        gates: How many.
        operations: Operators on words, each gate computed once.
        accesses: Slots that are read and written.
        code: Bytes of instructions: an estimate.
        constants: Bytes of constant arrays.
    """

    slots: int
    outputs: Array = field(repr=False)
    text: str = field(repr=False)
    gates: int
    operations: int
    accesses: int
    code: int
    constants: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """``y[k] = offset[k] + sum of 1 << shifts[e] where literals[e] is true, over starts[k] <= e < starts[k + 1]``.

    Attributes:
        starts: int32 [K + 1].
        literals: int32 [E]: of slots.
        shifts: int32 [E], 0 to 30.
        offset: int32 [K].
    """

    starts: Array
    literals: Array
    shifts: Array
    offset: Array

    @property
    def groups(self) -> int:
        """Number of sums."""
        return len(self.offset)

    @property
    def planes(self) -> int:
        """Bits of the greatest sum without its offset."""
        totals = np.zeros(self.groups, np.int64)
        np.add.at(totals, np.repeat(np.arange(self.groups), np.diff(self.starts)), np.int64(1) << self.shifts)
        return max(1, int(totals.max(initial=0)).bit_length())


def terms_of(sums: GroupSum, literals: Array) -> Terms:
    """The sums with weights taken apart into powers of two; what counts down counts the inverse up.

    Args:
        sums: Any.
        literals: int32 [bits]: of slots, where the bits are.
    """
    size = np.abs(sums.weight.astype(np.int64))
    offset = sums.offset.astype(np.int64)
    np.add.at(offset, sums.group, np.minimum(sums.weight, 0))
    found = []
    for shift in range(31):
        at = np.flatnonzero(size >> shift & 1)
        found.append(np.stack([sums.group[at], np.full(len(at), shift), at]))
    group, shifts, at = np.concatenate(found, 1)
    order = np.argsort(group, kind="stable")
    group, shifts, at = group[order], shifts[order], at[order]
    return Terms(
        starts=np.searchsorted(group, np.arange(sums.groups + 1)).astype(np.int32),
        literals=(literals[sums.member[at]] ^ (sums.weight[at] < 0)).astype(np.int32),
        shifts=shifts.astype(np.int32), offset=offset.astype(np.int32),
    )  # fmt: skip


def smallest(data: Array) -> tuple[str, int]:
    """The least unsigned C type that holds the data, and its bytes."""
    most = int(data.max(initial=0))
    return next((f"uint{8 * n}_t", n) for n in (1, 2, 4) if most < 1 << 8 * n)


def constants(name: str, data: Array, kind: str = "") -> str:
    """A constant array of one dimension in C; one of no elements gets a 0."""
    values = ", ".join(map(str, data.reshape(-1).tolist() or [0]))
    return f"static const {kind or smallest(data)[0]} {name}[] = {{\n{wrapped(values)}\n}};\n"


def wrapped(text: str, indent: str = "    ") -> str:
    """Lines of at most 120 characters."""
    return "\n".join(textwrap.wrap(text, 120, initial_indent=indent, subsequent_indent=indent, break_long_words=False))


def lines(parts: Iterable[str]) -> str:
    """Lines of C."""
    return "".join(f"{part}\n" for part in parts)
