"""The two things a logic gate network is made of: look-up tables, and sums of their outputs.

Nodes are numbered: 0 is the constant false, 1 to ``inputs`` are the input bits, then come the gates in topological
order. A literal is ``2 * node + inverted``, as in AIGER (Biere, The AIGER And-Inverter Graph Format, 2007): 0 is
false, 1 is true.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

WIDEST = 6
"""Most inputs of a gate: its table then fills 64 bits."""
SHALLOW = 40
"""A netlist of so many levels is levelled all gates at once."""


def literal(node: int, inverted: bool = False) -> int:
    """The literal of a node."""
    return 2 * node + inverted


@dataclass(frozen=True, kw_only=True, eq=False)
class Netlist:
    """Gates of up to ``k`` inputs, each a look-up table.

    Attributes:
        inputs: Number of input bits.
        fanins: int32 [G, k], k in 1..6: the nodes that each gate reads, all smaller than the gate's own number. A
            gate that needs fewer reads node 0 in the columns left over, and has a table that ignores them.
        tables: uint64 [G]: bit ``i`` is the gate's value at address ``i``, and bit ``j`` of the address is the value
            of fanin column ``j``. The bits from 2**k up are 0.
        outputs: int32 [O]: literals, ``2 * node + inverted``.

    Raises:
        ValueError: An array has another dtype or shape, or a value outside its range.
    """

    inputs: int
    fanins: Array = field(repr=False)
    tables: Array = field(repr=False)
    outputs: Array = field(repr=False)

    def __post_init__(self) -> None:
        _check("fanins", self.fanins, np.int32, 2)
        _check("tables", self.tables, np.uint64, 1)
        _check("outputs", self.outputs, np.int32, 1)
        if self.inputs < 0 or len(self.tables) != len(self.fanins) or not 1 <= self.k <= WIDEST:
            shapes = f"{self.fanins.shape} fanins and {len(self.tables)} tables"
            raise ValueError(f"a netlist has gates of 1 to {WIDEST} inputs and a table each, not {shapes}")
        own = self.first + np.arange(self.gates, dtype=np.int64)[:, None]
        if self.gates and (self.fanins.min() < 0 or (self.fanins >= own).any()):
            gate = int(np.argmax(((self.fanins < 0) | (self.fanins >= own)).any(1)))
            raise ValueError(f"gate {gate} reads {self.fanins[gate].tolist()}: only nodes before its own may be read")
        if self.k < WIDEST and (self.tables >> np.uint64(1 << self.k)).any():
            raise ValueError(f"a table of {self.k} inputs has {1 << self.k} bits")
        if self.outputs.size and not 0 <= self.outputs.min() <= self.outputs.max() < 2 * (self.first + self.gates):
            raise ValueError("an output is the literal of a node that exists")

    @property
    def k(self) -> int:
        """Columns of ``fanins``: most inputs of a gate."""
        return int(self.fanins.shape[1])

    @property
    def gates(self) -> int:
        """Number of gates."""
        return len(self.fanins)

    @property
    def first(self) -> int:
        """Number of the first gate's node."""
        return self.inputs + 1

    @cached_property
    def levels(self) -> Array:
        """int32 [1 + inputs + G]: the level of every node, 0 for the constant and the inputs.

        A gate without inputs is of level 1.
        """
        levels = np.zeros(self.first + self.gates, np.int32)
        for _ in range(SHALLOW):
            found = 1 + levels[self.fanins].max(1)
            if np.array_equal(found, levels[self.first :]):
                return levels
            levels[self.first :] = found
        level = [0] * len(levels)  # a deep one settles sooner gate by gate
        for node, row in enumerate(self.fanins.tolist(), self.first):
            level[node] = 1 + max([level[f] for f in row])
        return np.array(level, np.int32)

    @property
    def depth(self) -> int:
        """The greatest level."""
        return int(self.levels.max(initial=0))

    def by_level(self) -> Netlist:
        """The same gates, those of lower levels first; gates of one level keep their order."""
        order = np.argsort(self.levels[self.first :], kind="stable")
        return self.reordered(order)

    def reordered(self, order: Array) -> Netlist:
        """The same network with its gates in another topological order.

        Args:
            order: int [G]: ``order[i]`` is the place in this netlist of gate ``i`` of the new one.
        """
        renamed = np.arange(self.first + self.gates, dtype=np.int32)
        renamed[self.first + np.asarray(order)] = self.first + np.arange(self.gates, dtype=np.int32)
        outputs = 2 * renamed[self.outputs >> 1] + (self.outputs & 1)
        fanins = renamed[self.fanins[order]]
        return Netlist(inputs=self.inputs, fanins=fanins, tables=self.tables[order], outputs=outputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSum:
    """Weighted counts of bits: ``y[k] = offset[k] + sum of weight[e] * bit[member[e]] over e with group[e] == k``.

    Attributes:
        bits: Number of bits that there are to count, as many as the netlist has outputs.
        group: int32 [E], not falling: the sum that each term belongs to, in 0..K-1.
        member: int32 [E]: the bit of each term, in 0..bits-1; once at most in each group.
        weight: int32 [E], not 0.
        offset: int32 [K].

    Raises:
        ValueError: An array has another dtype or shape, or a value outside its range.
    """

    bits: int
    group: Array = field(repr=False)
    member: Array = field(repr=False)
    weight: Array = field(repr=False)
    offset: Array = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("group", "member", "weight", "offset"):
            _check(name, getattr(self, name), np.int32, 1)
        if not len(self.group) == len(self.member) == len(self.weight):
            raise ValueError("group, member and weight have one entry for each term")
        if self.group.size:
            if (np.diff(self.group) < 0).any() or self.group[0] < 0 or self.group[-1] >= self.groups:
                raise ValueError(f"groups must not fall and lie in [0, {self.groups})")
            if self.member.min() < 0 or self.member.max() >= self.bits:
                raise ValueError(f"members must lie in [0, {self.bits})")
        if (self.weight == 0).any():
            raise ValueError("a term has a weight other than 0")

    @property
    def groups(self) -> int:
        """Number of sums."""
        return len(self.offset)

    @classmethod
    def contiguous(cls, bits: int, groups: int) -> GroupSum:
        """The plain sum of difflogic: ``groups`` runs of ``ceil(bits / groups)`` bits, the last ones may be short."""
        size = -(-bits // groups)
        every = np.arange(bits, dtype=np.int32)
        one = np.ones(bits, np.int32)
        return cls(
            bits=bits, group=every // np.int32(size), member=every, weight=one, offset=np.zeros(groups, np.int32)
        )  # fmt: skip

    def bounds(self) -> tuple[Array, Array]:
        """int64 [K] each: the least and the greatest value of every sum, all bits taken as free."""
        low, high = self.offset.astype(np.int64), self.offset.astype(np.int64)
        np.add.at(low, self.group, np.minimum(self.weight, 0))
        np.add.at(high, self.group, np.maximum(self.weight, 0))
        return low, high


def _check(name: str, data: Array, dtype: Any, axes: int) -> None:
    if not isinstance(data, np.ndarray) or data.dtype != dtype or data.ndim != axes:
        found = f"{data.dtype} of {data.ndim} axes" if isinstance(data, np.ndarray) else type(data).__name__
        raise ValueError(f"{name} must be {np.dtype(dtype).name} of {axes} axes, got {found}")
