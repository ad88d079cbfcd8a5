"""Steps as the words that the kernel reads.

An entry is what one lane does in one step: four slots, three operands and a target or four terms of a sum; and the
table, if the lanes of the warp have different ones. Compact, two words, for slots below 2**13:

    a | t0..2 << 13 | b << 16 | t3..5 << 29,  c | t6..7 << 13 | target << 16

Wide, four words, for slots below 2**24:

    a | table << 24,  b,  c,  target

A head is what a warp does in one step: a :class:`Kind`, or :data:`FIRST_TABLE` plus the number of one of the plan's
operations. Bit 31 says that a barrier comes first; bit 30 that the step counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgegate.graph import Array
from edgegate.targets.cuda_logic.gates import Gates
from edgegate.targets.cuda_logic.shape import Shape
from edgegate.targets.cuda_logic.steps import PAD, Kind, Step
from edgegate.targets.cuda_logic.teams import READS

BARRIER = 1 << 31
COUNTS = 1 << 30
FIRST_TABLE = int(Kind.ONE_TABLE)
COMPACT = 1 << 13
"""Slots that a compact entry can name."""

Row = tuple[int, Array]
"""A head and the entries of the lanes."""


class Encoder:
    """The program of a block, phase by phase.

    Args:
        shape: Of the block.
        wide: Whether slots take more than 13 bits.
    """

    def __init__(self, shape: Shape, *, wide: bool) -> None:
        self.shape, self.wide = shape, wide
        self.operations: list[tuple[int, int]] = []
        """Operands and table of what whole warps compute, in the order of their numbers."""
        self._numbers: dict[tuple[int, int], int] = {}
        self._made: list[Array] = []
        self._heads: list[Array] = []
        lanes = np.arange(shape.gates)
        self._rest = (int(Kind.REST), self._packed(np.zeros((4, len(lanes)), np.int64), 0 * lanes))

    def entries(self) -> Array:
        """uint32 [steps, warps, lanes, 2 or 4]."""
        empty = np.zeros((0, self.shape.warps, self.shape.gates, 4 if self.wide else 2), np.uint32)
        return np.concatenate([empty, *self._made])

    def heads(self) -> Array:
        """uint32 [steps, warps]."""
        return np.concatenate([np.zeros((0, self.shape.warps), np.uint32), *self._heads])

    def phase(
        self,
        steps: Sequence[Step],
        counting: Mapping[int, Sequence[Sequence[Sequence[int]]]],
        gates: Gates,
        slot: Array,
    ) -> None:
        """What runs until the next barrier.

        Args:
            steps: Gates, by any warp.
            counting: By warp, and step, the terms of each lane.
            gates: All gates.
            slot: int64 [nodes]: where each node lies.
        """
        rows = [[self._counts(lanes) for lanes in counting.get(w, ())] for w in range(self.shape.warps)]
        for step in steps:
            min(rows, key=len).append(self._gates(step, gates, slot))
        longest = max(map(len, rows))
        if not longest:
            return
        whole = [[*row, *[self._rest] * (longest - len(row))] for row in rows]
        heads = np.array([[head for head, _ in row] for row in whole], np.uint32).T.copy()
        heads[0] |= np.uint32(BARRIER)
        self._heads.append(heads)
        self._made.append(np.stack([np.stack([entry for _, entry in row]) for row in whole], 1))

    @property
    def steps(self) -> int:
        """How many there are so far."""
        return sum(map(len, self._heads))

    def rest(self) -> None:
        """A step in which nobody does anything."""
        self._heads.append(np.full((1, self.shape.warps), Kind.REST, np.uint32))
        self._made.append(np.broadcast_to(self._rest[1], (1, self.shape.warps, *self._rest[1].shape)).copy())

    def flush(self) -> None:
        """The sums of the last phases are complete. The kernel looks for this in the second of two steps alone."""
        if not self.steps % 2:
            self.rest()
        self._heads.append(np.full((1, self.shape.warps), BARRIER | COUNTS | Kind.FLUSH, np.uint32))
        self._made.append(np.broadcast_to(self._rest[1], (1, self.shape.warps, *self._rest[1].shape)).copy())

    def _gates(self, step: Step, gates: Gates, slot: Array) -> Row:
        there = step.gates != PAD
        numbers = np.where(there, step.gates, 0)
        zero = np.arange(len(numbers)) % self.shape.colours
        slots = np.empty((4, len(numbers)), np.int64)
        for j in range(3):
            node = np.where(there, gates.operands[numbers, j], 0)
            slots[j] = np.where(node > 0, slot[node], zero)
        slots[3] = np.where(there, slot[gates.first + numbers], self.shape.colours + zero)
        tables = np.where(there, gates.tables[numbers].astype(np.int64), 0)
        if step.kind != Kind.ONE_TABLE:
            return int(step.kind), self._packed(slots, tables)
        operation = int(gates.arity[numbers[0]]), int(tables[0])
        if operation not in self._numbers:
            self._numbers[operation] = len(self.operations)
            self.operations.append(operation)
        return FIRST_TABLE + self._numbers[operation], self._packed(slots, 0 * tables)

    def _counts(self, lanes: Sequence[Sequence[int]]) -> Row:
        slots = np.tile(np.arange(len(lanes)) % self.shape.colours, (READS, 1))
        for lane, own in enumerate(lanes):
            slots[: len(own), lane] = own
        kind = Kind.COUNT_FOUR if max(map(len, lanes)) > READS // 2 else Kind.COUNT_TWO
        return COUNTS | int(kind), self._packed(slots, np.zeros(len(lanes), np.int64))

    def _packed(self, slots: Array, tables: Array) -> Array:
        """One entry for each lane from four slots and eight bits."""
        a, b, c, d = slots
        if self.wide:
            words = [a | tables << 24, b, c, d]
        else:
            low, middle, high = tables & 7, tables >> 3 & 7, tables >> 6
            words = [a | low << 13 | b << 16 | middle << 29, c | high << 13 | d << 16]
        return np.stack(words, 1).astype(np.uint32)
