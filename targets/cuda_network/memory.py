"""Where everything lies on the device: one piece of memory; what is not needed at the same time shares room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgegate.targets.cuda_network.launch import Argument, Launch, Part, Whole

ALIGNED = 256
"""Everything starts at a multiple of so many bytes, as memory from the driver does."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """From the first launch that something is needed in to the last, both included; -1 is before all of them."""

    first: int
    last: int

    def meets(self, other: Span) -> bool:
        """Whether both are needed at some time."""
        return self.first <= other.last and other.first <= self.last


def spans(launches: Sequence[Launch], given: Iterable[Whole], kept: Iterable[Whole]) -> dict[Whole, Span]:
    """When each thing is needed: the inputs from before the first launch, the outputs until after the last."""
    found: dict[Whole, Span] = {whole: Span(first=-1, last=-1) for whole in given}
    for time, launch in enumerate(launches):
        for argument in launch.places():
            if not isinstance(argument, np.ndarray):
                whole = whole_of(argument)
                found[whole] = Span(first=found[whole].first if whole in found else time, last=time)
    for whole in kept:
        found[whole] = Span(first=found[whole].first if whole in found else -1, last=len(launches))
    return found


def whole_of(argument: Argument) -> Whole:
    """What has memory of its own: the argument itself, or what it is a part of."""
    assert not isinstance(argument, np.ndarray), "constants are not planned"
    return argument.whole if isinstance(argument, Part) else argument


def placed(needed: Mapping[Whole, Span], sizes: Mapping[Whole, int]) -> tuple[dict[Whole, int], int]:
    """The offset of each thing, and how many bytes that takes.

    Largest first, each at the lowest place that is free all the time that it is needed (greedy by size: Pisarchyk and
    Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 5.2).
    """
    offsets: dict[Whole, int] = {}
    for whole in sorted(needed, key=lambda w: -sizes[w]):
        size, offset = sizes[whole], 0
        taken = sorted((offsets[w], offsets[w] + sizes[w]) for w in offsets if needed[w].meets(needed[whole]))
        for start, end in taken:
            if offset + size <= start:
                break
            offset = max(offset, -(-end // ALIGNED) * ALIGNED)
        offsets[whole] = offset
    return offsets, max((offsets[w] + sizes[w] for w in offsets), default=0)
