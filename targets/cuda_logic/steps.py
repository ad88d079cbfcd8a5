"""The gates of a phase in steps: what a warp computes at a time, with one table for all its lanes where possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from edgegate.graph import Array
from edgegate.targets.cuda_logic.gates import WIDTH, Gates, symmetries
from edgegate.targets.cuda_logic.sets import grouped
from edgegate.targets.cuda_logic.shape import Shape


class Kind(IntEnum):
    """What a warp does in a step. The lowest bit tells the counting kinds apart, the next one the flush."""

    REST = 0
    """Nothing."""
    MIXED_TWO = 1
    """Gates of two operands, each with its own table."""
    MIXED_THREE = 2
    """Gates of up to three operands, each with its own table."""
    COUNT_FOUR = 4
    """Four terms of a sum."""
    COUNT_TWO = 5
    """Two terms of a sum."""
    FLUSH = 6
    """The sums are complete."""
    ONE_TABLE = 7
    """Gates of one table; never in a program, which says which table."""


PAD = -1
"""A lane without a gate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What a warp computes at a time.

    Attributes:
        kind: Mixed, or of one table.
        gates: int64 [lanes]: numbers of gates; :data:`PAD` where there is none.
    """

    kind: Kind
    gates: Array = field(repr=False)


def steps_of(chosen: Sequence[int], gates: Gates, colour: Array, shape: Shape, rng: np.random.Generator) -> list[Step]:
    """The gates ``chosen`` in steps.

    Args:
        chosen: Numbers of gates.
        gates: All gates; the order of their operands may change where the table allows it.
        colour: int [nodes]: colour of every node's slot.
        shape: Of the block.
        rng: Breaks ties.
    """
    numbers = np.array(chosen, np.int64)
    found: list[Step] = []
    mixed: dict[int, list[int]] = {2: [], 3: []}
    keys = gates.arity[numbers].astype(np.int64) * 256 + gates.tables[numbers]
    for key in np.unique(keys).tolist():
        arity, own = key // 256, numbers[keys == key]
        orders = np.array(symmetries(key % 256))
        orders = orders[(orders[:, arity:] == np.arange(arity, WIDTH)).all(1), :arity]
        order, turned = grouped(colour[gates.operands[own, :arity]], shape.colours, rng, orders)
        gates.operands[own, :arity] = np.take_along_axis(gates.operands[own, :arity], turned, 1)
        whole = len(own) // shape.gates * shape.gates
        found += _cut(own[order[:whole]], Kind.ONE_TABLE, shape.gates)
        mixed[arity] += own[order[whole:]].tolist()
    return found + _mixed(mixed, gates, colour, shape, rng)


def _cut(numbers: Array, kind: Kind, lanes: int) -> list[Step]:
    return [Step(kind=kind, gates=numbers[i : i + lanes]) for i in range(0, len(numbers), lanes)]


def _mixed(
    pools: dict[int, list[int]], gates: Gates, colour: Array, shape: Shape, rng: np.random.Generator
) -> list[Step]:
    """What does not fill a warp with one table: any tables side by side."""
    two = np.array(pools[2], np.int64)
    order, _ = grouped(colour[gates.operands[two, :2]], shape.colours, rng)
    whole = len(two) // shape.gates * shape.gates
    found = _cut(two[order[:whole]], Kind.MIXED_TWO, shape.gates)
    rest = np.concatenate([np.array(pools[3], np.int64), two[order[whole:]]])
    if not len(rest):
        return found
    order, _ = grouped(colour[gates.operands[rest]], shape.colours, rng)
    kind = Kind.MIXED_TWO if (gates.arity[rest] < WIDTH).all() else Kind.MIXED_THREE
    padded = np.full(-(-len(rest) // shape.gates) * shape.gates, PAD, np.int64)
    padded[: len(rest)] = rest[order]
    return found + _cut(padded, kind, shape.gates)
