"""The shape of a block: how many threads share a gate, and how many gates a warp computes at a time."""

from __future__ import annotations

from dataclasses import dataclass

BANKS = 32
WARP = 32
RESERVED = 1024
"""Bytes of shared memory that the driver keeps of each block."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A block of threads that computes the network for ``32 * words`` samples.

    Attributes:
        words: Words of 32 samples in a slot: 1, 2, 4 or 8; 32 in global memory.
        warps: Warps of a block.
        shared: Whether the slots lie in shared memory; else in a scratch buffer in global memory.
    """

    words: int
    warps: int = 32
    shared: bool = True

    def __post_init__(self) -> None:
        if self.words not in ((1, 2, 4, 8) if self.shared else (32,)) or not 1 <= self.warps <= 32:
            raise ValueError(f"no block has slots of {self.words} words and {self.warps} warps")

    @property
    def vector(self) -> int:
        """Words that a thread reads at once."""
        return min(self.words, 4)

    @property
    def threads(self) -> int:
        """Of a block."""
        return WARP * self.warps

    @property
    def sharers(self) -> int:
        """Threads that compute the same gate, each for ``vector`` words."""
        return self.words // self.vector

    @property
    def gates(self) -> int:
        """Gates that a warp computes at a time."""
        return WARP // self.sharers

    @property
    def colours(self) -> int:
        """Slots that lie in different banks: slots of a colour are the same modulo this."""
        return BANKS // self.words

    @property
    def reserved(self) -> int:
        """Slots that hold no value: one of each colour of zeros, and one of each where lanes without a gate write."""
        return 2 * self.colours

    @property
    def sets(self) -> int:
        """Sets of ``colours`` gates in a warp."""
        return self.gates // self.colours

    @property
    def samples(self) -> int:
        """Of a block."""
        return 32 * self.words
