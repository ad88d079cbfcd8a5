"""Sums of bits as gates: counters turn the bits of every sum into one bit for each power of two."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush

import numpy as np

from edgegate.logic import GroupSum, Netlist
from edgegate.logic.netlist import Array
from edgegate.passes.logic._build import Builder
from edgegate.passes.logic._no_gc import no_gc
from edgegate.passes.logic._tables import ones
from edgegate.passes.logic.drop_dead import drop_dead
from edgegate.passes.logic.light import light, signed_digits
from edgegate.passes.logic.share_outputs import share_outputs

COUNTERS = {2: 3, 3: 3, 4: 3, 5: 5, 6: 6}
"""Bits that a counter takes, by the inputs of a gate: full adders; or 5 bits, or 6, into 3, where gates are wider."""

XOR, AND = 0b0110, 0b1000

CARRY = sum(((a + (a ^ p) + (p ^ q) > 1) << (a + 2 * p + 4 * q)) for a in (0, 1) for p in (0, 1) for q in (0, 1))
"""The majority of a, a ^ p and p ^ q, over (a, p, q)."""


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


@no_gc()
def carry_save(netlist: Netlist, sums: GroupSum, *, shallow: bool = False) -> Planes:
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
        shallow: Add all bits last, those of the lowest level first: the number of levels then grows with the logarithm
            of the number of bits, not with the number. For back ends that go level by level.

    Returns:
        The planes. Gates that no plane depends on are gone. A plane is an inverted literal only if it is an input,
        or if gates have two inputs: all then are and, or, exclusive or, and and-not.

    Raises:
        ValueError: The sums are of another number of bits, or may not fit int32.

    Source:
        Wallace, A Suggestion for a Fast Multiplier, 1964; Reitwiesner, Binary Arithmetic, 1960 (signed digits).
    """
    if sums.bits != len(netlist.outputs):
        raise ValueError(f"sums of {sums.bits} bits do not count the {len(netlist.outputs)} outputs of the netlist")
    netlist, sums = share_outputs(netlist, sums)
    netlist = drop_dead(netlist)
    columns = _Columns(Builder(netlist.inputs), sums, netlist.k, shallow)
    terms = _terms(netlist, sums)
    spare = netlist.k in (3, 4) and not shallow
    light_ones = light(netlist, sums) if spare else set()
    literals = [0]
    for node in range(1, netlist.first):
        literals.append(2 * node)
        columns.take(2 * node, terms[node])
    for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        node, fanins = len(literals), [literals[f] for f in row]
        if node in light_ones and not row[-1]:
            literals.append(0)  # nothing reads it
            columns.take_light(fanins, table, *terms[node][0])
        else:
            literals.append(columns.made.gate(fanins, table))
            columns.take(literals[-1], terms[node])
    return columns.planes()


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

    def __init__(self, made: Builder, sums: GroupSum, k: int, shallow: bool) -> None:
        self.made, self.k, self.most, self.shallow = made, max(k, 2), COUNTERS[max(k, 2)], shallow
        self.waiting: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(sums.groups)]
        self.held: list[dict[int, tuple[list[int], int]]] = [{} for _ in range(sums.groups)]
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

    def take_light(self, fanins: list[int], table: int, group: int, weight: int) -> None:
        """Add the bit ``table(fanins)`` to the one sum that counts it, if we can without making it.

        With a, b, and p = a ^ f, q = p ^ g: a + f + g = q + 2 majority(a, p ^ a, q ^ p), and each of p, q and the
        majority is one gate, where f, g and their full adder are four.
        """
        ((sign, j),) = signed_digits(weight)
        self.offset[group] -= sign < 0 and 1 << j
        if sign < 0:
            table ^= ones(len(fanins))
        waiting, held = self.waiting[group][j], self.held[group]
        if not waiting:
            self._add(group, j, self.made.gate(fanins, table))
        elif j not in held:
            held[j] = (fanins, table)
        else:
            first, (fanins2, table2) = waiting.pop(0), held.pop(j)
            p = self._xor(first, fanins2, table2)
            q = self._xor(p, fanins, table)
            carry = self.made.gate([first, p, q], CARRY)
            self._add(group, j, q)
            if 2 << j <= self.limit[group]:
                self._add(group, j + 1, carry)

    def _xor(self, bit: int, fanins: list[int], table: int) -> int:
        """``bit ^ table(fanins)``, in one gate."""
        n = len(fanins) - 1  # the last one is the constant
        fanins, table = fanins[:n], table & ones(n)
        return self.made.gate([*fanins, bit], table | (table ^ ones(n)) << (1 << n))

    def _add(self, group: int, j: int, literal: int) -> None:
        if literal < 2:
            self.offset[group] += literal << j
        else:
            self.waiting[group][j].append(literal)
            if len(self.waiting[group][j]) == self.most and not self.shallow:
                self._count(group, j)

    def _count(self, group: int, j: int) -> None:
        """Replace the bits that wait by their count."""
        bits = self.waiting[group][j]
        self.waiting[group][j] = []
        for place, literal in enumerate(self._counter(bits), j):
            if 1 << place <= self.limit[group]:  # no sum is greater: that carry is always 0
                self._add(group, place, literal)

    def _count_early(self, group: int, j: int) -> None:
        """Count what waits until one bit is left, those of the lowest levels first."""
        heap = [(self.made.level(literal), literal) for literal in self.waiting[group][j]]
        heapify(heap)
        while len(heap) > 1:
            self.waiting[group][j] = [heappop(heap)[1] for _ in range(min(self.most, len(heap)))]
            self._count(group, j)
            for literal in self.waiting[group][j]:
                heappush(heap, (self.made.level(literal), literal))
        self.waiting[group][j] = [literal for _, literal in heap]

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
            for j, (fanins, table) in sorted(self.held[group].items()):
                self._add(group, j, self.made.gate(fanins, table))
            for j in range(self.limit[group].bit_length()):
                if self.shallow:
                    self._count_early(group, j)
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
