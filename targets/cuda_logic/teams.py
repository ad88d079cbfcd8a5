"""Which threads count which sum, and what each of them reads when.

A *team* is one or more whole sets of a warp; every gate's place in it, a *lane*, adds up some of the terms of one sum
in bit-sliced counters that stay in registers. One sum may have several teams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgegate.targets.cuda_logic.shape import Shape

READS = 4
"""Terms that a step adds up."""
LANE_TERMS = 64
"""Terms of a sum that a lane takes before the sum gets another team."""


@dataclass(frozen=True, kw_only=True)
class Teams:
    """How the lanes of a block are shared among sums.

    Attributes:
        shape: Of the block.
        groups: Number of sums.
        sets: Sets of a team, a power of two.
        each: Teams of a sum; above 1 only where a team is a whole warp.
    """

    shape: Shape
    groups: int
    sets: int
    each: int

    @classmethod
    def of(cls, shape: Shape, groups: int, terms: int) -> Teams:
        """Teams for ``groups`` sums of at most ``terms`` terms each."""
        sets = shape.sets
        least = max(shape.vector // shape.colours, 1)  # a lane for each word that a thread has, to share them out
        while sets > least and shape.warps * (shape.sets // sets) < groups:
            sets //= 2
        wanted = -(-terms // (LANE_TERMS * shape.gates))
        each = max(min(shape.warps // groups, wanted), 1) if groups else 1
        return cls(shape=shape, groups=groups, sets=sets, each=each)

    @property
    def lanes(self) -> int:
        """Lanes of a team."""
        return self.sets * self.shape.colours

    @property
    def in_warp(self) -> int:
        """Teams of a warp."""
        return self.shape.sets // self.sets

    @property
    def at_once(self) -> int:
        """Sums that have teams at the same time."""
        return min(self.shape.warps * self.in_warp // self.each, self.groups)

    @property
    def rounds(self) -> int:
        """How often all teams take other sums."""
        return -(-self.groups // self.at_once) if self.groups else 0

    def places(self, group: int) -> list[tuple[int, int]]:
        """The teams of a sum: warp, and first lane in it."""
        first = group % self.at_once * self.each
        numbers = range(first, first + self.each)
        return [(n // self.in_warp, n % self.in_warp * self.lanes) for n in numbers]

    def shared_out(self, group: int, slots: Sequence[int]) -> dict[tuple[int, int], list[int]]:
        """Which lane (of a warp) reads which slots, in order: lanes of a set read different colours where possible."""
        places = [(warp, first + lane) for warp, first in self.places(group) for lane in range(self.lanes)]
        rounds = -(-len(slots) // len(places))
        found: dict[tuple[int, int], list[int]] = {place: [] for place in places}
        colours = self.shape.colours
        by_colour = [[p for p in places if p[1] % colours == c] for c in range(colours)]
        spare = []
        turns = [0] * colours
        for slot in slots:
            colour = slot % colours
            own = by_colour[colour]
            if turns[colour] < rounds * len(own):
                found[own[turns[colour] % len(own)]].append(slot)
                turns[colour] += 1
            else:
                spare.append(slot)
        for slot in spare:
            found[min(places, key=lambda p: len(found[p]))].append(slot)
        return found


def planes(most: int) -> int:
    """Bits of a counter that counts to ``most``."""
    return max(int(np.int64(most)).bit_length(), 1)
