"""A netlist in the making: gates are hashed as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgegate.logic import Netlist
from edgegate.passes.logic._tables import CONSTANT, flip, normal, ones


class Builder:
    """Gates by literal in, literals out; a gate that is there already, or that is no gate, costs nothing.

    Attributes:
        inputs: Number of input bits.
        rows: The fanins of every gate so far.
        tables: The table of every gate so far, 0 at address 0.
    """

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.rows: list[tuple[int, ...]] = []
        self.tables: list[int] = []
        self._levels: list[int] = []
        self._known: dict[tuple[tuple[int, ...], int], int] = {}

    def gate(self, literals: Sequence[int], table: int) -> int:
        """The literal of ``table`` over ``literals``."""
        nodes = sorted({x >> 1 for x in literals if x > 1})
        place = {node: 2 * i for i, node in enumerate(nodes)}
        pattern = tuple([place[x >> 1] | (x & 1) if x > 1 else CONSTANT + x for x in literals])
        kept, table, inverted = normal(table, pattern)
        if len(kept) < 2:
            return 2 * nodes[kept[0]] + inverted if kept else inverted
        row = tuple(nodes) if len(kept) == len(nodes) else tuple([nodes[j] for j in kept])
        return 2 * self.node(row, table) + inverted

    def node(self, row: tuple[int, ...], table: int) -> int:
        """The node of a gate in normal form: fanins rise, all count, the table is 0 at address 0."""
        known = self._known.setdefault((row, table), self.inputs + 1 + len(self.rows))
        if known == self.inputs + 1 + len(self.rows):
            self.rows.append(row)
            self.tables.append(table)
        return known

    def level(self, literal: int) -> int:
        """The level of a node: 0 for constants and inputs."""
        first, levels = self.inputs + 1, self._levels
        while len(levels) < len(self.rows):
            row = self.rows[len(levels)]
            levels.append(1 + max([levels[f - first] for f in row if f >= first], default=0))
        return levels[(literal >> 1) - first] if literal >> 1 >= first else 0

    def upright(self, outputs: Sequence[int]) -> list[int]:
        """Invert the gates that are only inverted outputs, and what reads them; no more gates can be made then.

        Returns:
            The outputs, inverted only if they are inputs, or there upright too.
        """
        first = self.inputs + 1
        turned = {o >> 1 for o in outputs if o & 1 and o >> 1 >= first} - {o >> 1 for o in outputs if not o & 1}
        for i, row in enumerate(self.rows):
            if not turned.isdisjoint(row):
                for j in [j for j, f in enumerate(row) if f in turned]:
                    self.tables[i] = flip(self.tables[i], j, len(row))
            if first + i in turned:
                self.tables[i] ^= ones(len(row))
        return [o ^ 1 if o >> 1 in turned else o for o in outputs]

    def netlist(self, k: int, outputs: Sequence[int]) -> Netlist:
        """All gates so far as a netlist with ``k`` columns."""
        return netlist_of(self.inputs, self.rows, self.tables, outputs, k)


def netlist_of(
    inputs: int, rows: Sequence[tuple[int, ...]], tables: Sequence[int], outputs: Sequence[int], k: int
) -> Netlist:
    """A netlist from lists; rows shorter than ``k`` read node 0 in the columns left over."""
    fanins = np.zeros((len(rows), k), np.int32)
    for width in range(1, k + 1):
        places = [i for i, row in enumerate(rows) if len(row) == width]
        if places:
            fanins[places, :width] = [rows[i] for i in places]
    widened = np.array(tables, np.uint64)
    for j in range(k):  # a table that ignores input j repeats itself there
        short = np.array([len(row) <= j for row in rows], bool)
        widened[short] |= widened[short] << np.uint64(1 << j)
    return Netlist(inputs=inputs, fanins=fanins, tables=widened, outputs=np.array(outputs, np.int32))
