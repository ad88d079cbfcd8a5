"""Gates in the form that the kernel runs: two or three operands, one table for all orders of the operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

import numpy as np

from edgegate.graph import Array
from edgegate.logic import Netlist

WIDTH = 3
"""Operands of LOP3."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gates:
    """The gates of a netlist, in its order.

    Attributes:
        first: Number of the first gate's node.
        operands: int32 [G, 3]: nodes; where ``arity`` is 2 the third is 0, which the table ignores.
        arity: uint8 [G]: 2 or 3.
        tables: uint8 [G]: bit ``i`` is the value at address ``i``, operand ``j`` is bit ``j`` of the address. Of all
            orders of the operands, the one with the least table is kept.
    """

    first: int
    operands: Array = field(repr=False)
    arity: Array = field(repr=False)
    tables: Array = field(repr=False)

    @classmethod
    def of(cls, netlist: Netlist) -> Gates:
        """The gates of ``netlist``.

        Raises:
            ValueError: A gate has more than three inputs.
        """
        if netlist.k > WIDTH:
            raise ValueError(f"LOP3 has {WIDTH} operands, a gate of the netlist has {netlist.k}")
        operands = np.zeros((netlist.gates, WIDTH), np.int32)
        arity, tables = np.full(netlist.gates, 2, np.uint8), np.zeros(netlist.gates, np.uint8)
        for g, (row, table) in enumerate(zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True)):
            constant = tuple(f == 0 for f in row)
            order, tables[g] = _canonical(int(table), constant)
            nodes = [row[j] for j in order] or [0]
            nodes += nodes[:1] * (2 - len(nodes))
            operands[g, : len(nodes)], arity[g] = nodes, len(nodes)
        return cls(first=netlist.first, operands=operands, arity=arity, tables=tables)

    def __len__(self) -> int:
        return len(self.tables)


@cache
def _canonical(table: int, constant: tuple[bool, ...]) -> tuple[tuple[int, ...], int]:
    """The columns that matter, in the order that gives the least table, and that table over three operands.

    Args:
        table: Over ``len(constant)`` columns.
        constant: Which columns read false.
    """
    columns = [j for j in range(len(constant)) if not constant[j] and _matters(table, j, constant)]
    best = min((_permuted(table, order), order) for order in permutations(columns))
    return best[1], best[0]


def _matters(table: int, column: int, constant: tuple[bool, ...]) -> bool:
    """Whether a column changes the value at an address that can occur."""
    sound = [a for a in range(1 << len(constant)) if not any(c and a >> j & 1 for j, c in enumerate(constant))]
    return any(table >> a & 1 != table >> (a ^ 1 << column) & 1 for a in sound)


def _permuted(table: int, order: tuple[int, ...]) -> int:
    """The table over three operands of which operand ``i`` is column ``order[i]`` and the rest is ignored."""
    entries = (sum((a >> i & 1) << column for i, column in enumerate(order)) for a in range(1 << WIDTH))
    return sum((table >> entry & 1) << a for a, entry in enumerate(entries))


@cache
def symmetries(table: int) -> tuple[tuple[int, int, int], ...]:
    """The orders of three operands that leave a table as it is."""
    found = []
    for order in permutations(range(WIDTH)):
        if _permuted(table, order) == table:
            found.append((order[0], order[1], order[2]))
    return tuple(found)
