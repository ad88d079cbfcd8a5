"""The kernel in numpy: reads the arrays that the kernel reads, one bit a sample, and refuses what would be a race."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgegate.targets.cuda_logic.encode import FIRST_TABLE
from edgegate.targets.cuda_logic.plan import Plan
from edgegate.targets.cuda_logic.steps import Kind


def decoded(entries: Any) -> tuple[Any, Any]:
    """Slots [4, ...] and tables of entries."""
    e = entries.astype(np.int64)
    if e.shape[-1] == 4:
        words = np.stack([e[..., i] for i in range(4)])
        return words & 0xFFFFFF, e[..., 0] >> 24 & 255
    halves = np.stack([e[..., i // 2] >> 16 * (i % 2) & 0xFFFF for i in range(4)])
    spare = halves >> 13
    return halves & 8191, spare[0] | spare[1] << 3 | (spare[2] & 3) << 6


class Block:
    """One block: all samples at a time, one bool a bit."""

    def __init__(self, plan: Plan, bits: Any) -> None:
        self.plan, self.samples = plan, len(bits)
        self.memory = np.random.default_rng(1).random((plan.slots, len(bits))) < 0.5
        self.memory[: plan.shape.colours] = False
        used = plan.given >= 0
        self.memory[plan.given[used]] = bits.T[used]
        self.lanes = np.zeros((plan.shape.warps, plan.shape.gates, len(bits)), np.int64)
        self.counts = np.tile(plan.offset.astype(np.int64)[:, None], (1, len(bits)))
        self.done = 0
        self.read: set[int] = set()
        self.written: list[int] = []

    def run(self) -> Any:
        """The counts, int64 [N, K]."""
        before = self.memory.copy()
        for heads, step in zip(self.plan.heads.tolist(), self.plan.entries, strict=True):
            slots, tables = decoded(step)
            barrier = heads[0] >> 31
            assert all(head >> 31 == barrier for head in heads)
            if barrier:
                self._barrier()
                before = self.memory.copy()
            for warp, head in enumerate(heads):
                self._warp(warp, head & 0xFFFF, slots[:, warp], tables[warp], before)
        self._barrier()
        return self.counts.T

    def _barrier(self) -> None:
        assert not self.read & set(self.written), "a race"
        assert len(set(self.written)) == len(self.written), "two writers of a slot"
        self.read, self.written = set(), []

    def _warp(self, warp: int, op: int, slots: Any, tables: Any, before: Any) -> None:
        if op == Kind.FLUSH and warp == 0:
            self._flush()
        elif op in (Kind.COUNT_TWO, Kind.COUNT_FOUR):
            terms = 2 if op == Kind.COUNT_TWO else 4
            self.read |= set(slots[:terms].ravel().tolist())
            self.lanes[warp] += before[slots[:terms]].sum(0, dtype=np.int64)
            assert self.lanes.max() < 1 << self.plan.planes
        elif op in (Kind.MIXED_TWO, Kind.MIXED_THREE):
            self._gates(2 if op == Kind.MIXED_TWO else 3, slots, tables, before)
        elif op >= FIRST_TABLE:
            arity, table = self.plan.operations[op - FIRST_TABLE]
            self._gates(arity, slots, np.full_like(tables, table), before)

    def _gates(self, columns: int, slots: Any, tables: Any, before: Any) -> None:
        self.read |= set(slots[:columns].ravel().tolist())
        address = sum(before[slots[j]].astype(np.int64) << j for j in range(columns))
        value = (tables[:, None] >> address & 1).astype(bool)
        self.memory[slots[3]] = value
        assert slots[3].min() >= self.plan.shape.colours, "the zeros are overwritten"
        real = slots[3] >= self.plan.shape.reserved
        self.written += slots[3][real].tolist()

    def _flush(self) -> None:
        teams = self.plan.teams
        for k in range(self.done, min(self.done + teams.at_once, teams.groups)):
            for warp, first in teams.places(k):
                self.counts[k] += self.lanes[warp, first : first + teams.lanes].sum(0)
        self.done += teams.at_once
        self.lanes[:] = 0

    def shown(self) -> Any:
        """The bits that are given as bits, uint8 [N, O]."""
        flipped = (self.plan.shown & 1).astype(bool)[:, None]
        return (self.memory[self.plan.shown >> 1] ^ flipped).T.astype(np.uint8)
