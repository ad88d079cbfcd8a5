"""Where values lie: slots by colour, taken and given back phase by phase."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


class Slots:
    """The free slots, by colour; the lowest of a colour is taken first.

    Args:
        colours: How many colours there are; slot ``s`` has colour ``s % colours``.
        limit: Number of slots.
        taken: The first slots, which are never given out.
    """

    def __init__(self, colours: int, limit: int, taken: int) -> None:
        self._free = [[s for s in range(taken, limit) if s % colours == c] for c in range(colours)]
        self.used = taken
        """One more than the highest slot ever taken."""

    def take(self, wanted: Sequence[int]) -> int:
        """A slot of the first of the colours that has one; if none has, of the colour with most.

        Raises:
            IndexError: There is no free slot.
        """
        found = next((c for c in wanted if self._free[c]), None)
        if found is None:
            found = max(range(len(self._free)), key=lambda c: len(self._free[c]))
        slot = heapq.heappop(self._free[found])
        self.used = max(self.used, slot + 1)
        return slot

    def most(self) -> list[int]:
        """The colours, the one with most free slots first."""
        return sorted(range(len(self._free)), key=lambda c: -len(self._free[c]))

    def give(self, slot: int) -> None:
        """Give a slot back."""
        heapq.heappush(self._free[slot % len(self._free)], slot)
