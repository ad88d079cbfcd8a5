"""Which block a network gets on which GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgegate.logic import GroupSum, Netlist
from edgegate.targets.cuda_logic.kernel import shared_bytes
from edgegate.targets.cuda_logic.phases import Crowded
from edgegate.targets.cuda_logic.plan import Plan, plan
from edgegate.targets.cuda_logic.shape import RESERVED, Shape

SHARED = {75: 64, 80: 163, 86: 99, 87: 163, 89: 99, 90: 227}
"""KiB of shared memory of a block by compute capability (CUDA C++ Programming Guide, table of technical
specifications); a multiprocessor has one more."""
LIMIT = 1 << 24
"""Most slots: what an entry can name."""
FEWEST = 4
"""Warps of the smallest block."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A plan, and how many of its blocks a multiprocessor holds."""

    plan: Plan = field(repr=False)
    blocks: int


def choose(netlist: Netlist, sums: GroupSum | None, capability: int, *, shown: int = 0) -> Choice:
    """The block for a network: of as many samples as fit in shared memory; if none fits, values lie in global memory.

    Args:
        netlist: Gates of at most three inputs.
        sums: What is counted of its outputs.
        capability: Of the GPU, one of :data:`SHARED`.
        shown: How many of the netlist's outputs, the last ones, are given as bits.

    Raises:
        ValueError: There is no such GPU, or the network is too large for any.
    """
    if capability not in SHARED:
        raise ValueError(f"no GPU of compute capability {capability}: {', '.join(map(str, SHARED))}")
    for shape, blocks in _shapes(netlist):
        size = SHARED[capability] * 1024
        room = min(size, (size + RESERVED) // blocks - RESERVED)
        try:
            found = plan(netlist, sums, shape, limit=room // (4 * shape.words), shown=shown)
        except Crowded:
            continue
        if shared_bytes(found) <= room:
            return Choice(plan=found, blocks=blocks)
    try:
        return Choice(plan=plan(netlist, sums, Shape(words=32, shared=False), limit=LIMIT, shown=shown), blocks=1)
    except Crowded as e:
        raise ValueError(f"the network is too large: {e}") from e


def _shapes(netlist: Netlist) -> Iterator[tuple[Shape, int]]:
    """Blocks to try, and how many of each a multiprocessor should hold: narrow networks get small blocks."""
    width = netlist.gates // max(netlist.depth, 1)
    for words in (8, 4, 2, 1):
        warps = FEWEST
        while warps < 32 and width > 2 * warps * Shape(words=words).gates:
            warps *= 2
        while warps <= 32:
            yield Shape(words=words, warps=warps), 32 // warps
            warps *= 2
