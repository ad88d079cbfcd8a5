"""Sums of bits as gates: counters turn the bits of every sum into one bit for each power of two."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from edgegate.logic import GroupSum, Netlist
from edgegate.logic.netlist import Array
from edgegate.passes.logic._build import Builder
from edgegate.passes.logic.drop_dead import drop_dead
from edgegate.passes.logic.share_outputs import share_outputs

COUNTERS = {2: 3, 3: 3, 4: 3, 5: 5, 6: 6}
"""Bits that a counter takes, by the inputs of a gate: full adders; or 5 bits, or 6, into 3, where gates are wider."""

XOR, AND = 0b0110, 0b1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """``y[k] = offset[k] + sum of 2**shift[p] * output p over p with group[p] == k``.

    Attributes:
        netlist: The gates, adders among them; its outputs are the planes, one for each power of two of a sum.
        group: int32 [P], not falling: the sum of each plane.
        shift: int32 [P], rising in each group.
        offset: int32 [K].
    """

    netlist: Netlist
    group: Array = field(repr=False)
    shift: Array = field(repr=False)
    offset: Array = field(repr=False)


def carry_save(netlist: Netlist, sums: GroupSum) -> Planes:
    """Add the outputs of ``netlist`` up with gates.

    Full adders take three bits of one power of two and leave one, and a carry: two gates of three inputs (exclusive
    or, majority) for every bit that goes. A bit is added as soon as it and its partners are there: every adder stands
    right behind the gate that made its last bit, so a schedule of the netlist is one of the sums too. Inverted bits
    cost nothing. Half adders come last, at most one for each power of two.

    Args:
        netlist: Gates of any width, best those of ``optimise`` and ``schedule``. Of two inputs: adders are five gates
            of two inputs. Of five or six: counters of as many bits.
        sums: What to add. A negative weight counts the inverted bit; a weight is split into the fewest signed powers
            of two (non-adjacent form).

    Returns:
        The planes. Gates that no plane depends on are gone. A plane is an inverted literal only if the node is read
        elsewhere, or if gates have two inputs: all then are and, or, exclusive or, and and-not.

    Raises:
        ValueError: The sums are of another number of bits, or may not fit int32.

    Source:
        Wallace, A Suggestion for a Fast Multiplier, 1964; Reitwiesner, Binary Arithmetic, 1960 (signed digits).
    """
    if sums.bits != len(netlist.outputs):
        raise ValueError(f"sums of {sums.bits} bits do not count the {len(netlist.outputs)} outputs of the netlist")
    netlist, sums = share_outputs(netlist, sums)
    netlist = drop_dead(netlist)
    columns = _Columns(Builder(netlist.inputs), sums, netlist.k)
    terms = _terms(netlist, sums)
    literals = [0]
    for node in range(1, netlist.first):
        literals.append(2 * node)
        columns.take(2 * node, terms[node])
    for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        literals.append(columns.made.gate([literals[f] for f in row], table))
        columns.take(literals[-1], terms[len(literals) - 1])
    return columns.planes()


def signed_digits(weight: int) -> list[tuple[int, int]]:
    """``weight`` as the fewest (sign, power of two): binary if that is no longer than the non-adjacent form."""
    size, sign = abs(weight), 1 if weight > 0 else -1
    binary = [(sign, j) for j in range(size.bit_length()) if size >> j & 1]
    thrice = 3 * size
    digits = [j for j in range(size.bit_length() + 1) if (thrice ^ size) >> j & 2]
    signed = [(sign if thrice >> j & 2 else -sign, j) for j in digits]
    return signed if len(signed) < len(binary) else binary


def _terms(netlist: Netlist, sums: GroupSum) -> dict[int, list[tuple[int, int]]]:
    """By node: the sums that count it, with their weights."""
    terms = defaultdict(list)
    nodes = (netlist.outputs[sums.member] >> 1).tolist()
    for node, group, weight in zip(nodes, sums.group.tolist(), sums.weight.tolist(), strict=True):
        terms[node].append((group, weight))
    return terms


@lru_cache
def _tables(n: int) -> list[int]:
    """The tables of the number of true bits among ``n``, lowest bit first."""
    return [sum((address.bit_count() >> j & 1) << address for address in range(1 << n)) for j in range(n.bit_length())]


class _Columns:
    """The bits that wait to be added: by sum and power of two."""

    def __init__(self, made: Builder, sums: GroupSum, k: int) -> None:
        self.made, self.k, self.most = made, max(k, 2), COUNTERS[max(k, 2)]
        self.waiting: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(sums.groups)]
        self.offset = sums.offset.tolist()
        self.limit = [0] * sums.groups
        for group, weight in zip(sums.group.tolist(), sums.weight.tolist(), strict=True):
            ways = [sum(1 << j for sign, j in signed_digits(weight) if sign == way) for way in (1, -1)]
            self.limit[group] += max(ways)

    def take(self, literal: int, terms: list[tuple[int, int]]) -> None:
        """Add a bit to the sums that count it."""
        for group, weight in terms:
            for sign, j in signed_digits(weight):
                if sign < 0:
                    self.offset[group] -= 1 << j
                self._add(group, j, literal if sign > 0 else literal ^ 1)

    def _add(self, group: int, j: int, literal: int) -> None:
        if literal < 2:
            self.offset[group] += literal << j
        else:
            self.waiting[group][j].append(literal)
            if len(self.waiting[group][j]) == self.most:
                self._count(group, j)

    def _count(self, group: int, j: int) -> None:
        """Replace the bits that wait by their count."""
        bits = self.waiting[group][j]
        self.waiting[group][j] = []
        for place, literal in enumerate(self._counter(bits), j):
            if 1 << place <= self.limit[group]:  # no sum is greater: that carry is always 0
                self._add(group, place, literal)

    def _counter(self, bits: list[int]) -> list[int]:
        """The bits of the number of true ``bits``, lowest first."""
        gate, n = self.made.gate, len(bits)
        if n <= self.k:
            return [gate(bits, table) for table in _tables(n)]
        a, b, c = bits
        differ = gate([a, b], XOR)
        return [gate([differ, c], XOR), gate([a, gate([differ, gate([a, c], XOR)], AND)], XOR)]

    def planes(self) -> Planes:
        """Add up what waits until one bit is left for each power of two."""
        found = []
        for group, waiting in enumerate(self.waiting):
            for j in range(self.limit[group].bit_length()):
                while len(waiting[j]) > 1:
                    self._count(group, j)
                found += [(group, j, literal) for literal in waiting[j]]
        columns = np.array(found, np.int32).reshape(-1, 3).T.copy()
        offset = np.array(self.offset, np.int64)
        if (np.abs(offset) + np.array(self.limit, np.int64) >= 1 << 31).any():
            raise ValueError("a sum may not fit int32")
        outputs = columns[2].tolist()
        literals = outputs if self.k == 2 else self.made.upright(outputs)
        netlist = self.made.netlist(self.k, literals)
        return Planes(netlist=netlist, group=columns[0], shift=columns[1], offset=offset.astype(np.int32))
