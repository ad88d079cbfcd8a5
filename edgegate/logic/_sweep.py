"""SAT sweeping: two networks over the same inputs, made one from the inputs up wherever they are proved equal.

Source: Kuehlmann, Krohm, Equivalence Checking Using Cuts and Heaps, 1997; Mishchenko et al., FRAIGs, 2005. Random
patterns say which nodes may be equal, :mod:`edgegate.logic._cones` says which are. Patterns that tell two nodes
apart join the random ones.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from edgegate.logic._cones import CONFLICTS, Answer, Cut, Graph, by_sat, by_table
from edgegate.logic.netlist import Array

PATTERNS = 2048
"""Random patterns at first."""
NEIGHBOURS = 64
"""Patterns made of each that told two nodes apart."""
CANDIDATES = 4
"""Nodes that one is compared with before the patterns are used anew."""
ROUNDS = 64, 1 << 22
"""Most times that patterns are used anew: so many, and more in small graphs, by this many nodes."""


class Miter:
    """The graph of two networks, equal structure shared.

    Args:
        inputs: Number of inputs, the same for both.
        seed: Of the random patterns; a proof does not depend on it.
    """

    def __init__(self, inputs: int, seed: int = 0) -> None:
        self.graph = Graph(inputs)
        self.random = random.Random(seed)
        self.nodes: dict[tuple[int, int], int] = {}

    def land(self, a: int, b: int) -> int | None:
        """The literal of a AND b if it is there: a constant, a or b, or a node."""
        if a > b:
            a, b = b, a
        if a < 2 or a == b:
            return b if a else 0
        return 0 if a ^ 1 == b else self.nodes.get((a, b))

    def add(self, ands: Array, outputs: Iterable[int]) -> list[int]:
        """Add a network; the literals of its outputs."""
        left, right = self.graph.left, self.graph.right
        own = [2 * node for node in range(self.graph.inputs + 1)]
        for x, y in ands.tolist():
            a, b = own[x >> 1] ^ (x & 1), own[y >> 1] ^ (y & 1)
            literal = self.land(a, b)
            if literal is None:
                literal = 2 * len(left)
                self.nodes[(a, b) if a < b else (b, a)] = literal
                left.append(a)
                right.append(b)
            own.append(literal)
        return [own[o >> 1] ^ (o & 1) for o in outputs]

    def simulate(self, patterns: list[int], every: int) -> list[int]:
        """The values of all nodes for patterns packed into integers, one integer an input."""
        value = [0, *patterns]
        left, right = self.graph.left, self.graph.right
        for node in range(self.graph.inputs + 1, len(left)):
            x, y = left[node], right[node]
            a, b = value[x >> 1], value[y >> 1]
            value.append((a ^ every if x & 1 else a) & (b ^ every if y & 1 else b))
        return value

    def patterns(self) -> list[int]:
        """Patterns to begin with, for each input: half of them of even odds, the rest of mostly 0 or mostly 1."""
        n, bits = PATTERNS // 8, self.random.getrandbits

        def draw() -> int:
            rare = [bits(n) & bits(n) & bits(n) for _ in range(2)]
            rarer = [rare[j] & bits(n) & bits(n) for j in range(2)]
            ends = ((1 << n) - 1) ^ rare[1], ((1 << n) - 1) ^ rarer[1]
            parts = (bits(4 * n), rare[0] << 4 * n, rarer[0] << 5 * n, ends[0] << 6 * n, ends[1] << 7 * n)
            return sum(parts)

        return [draw() for _ in range(self.graph.inputs)]


class Sweep:
    """The second network of a miter, merged into the first.

    Args:
        miter: Both networks.
        first: The number of nodes when only the first network was there.
        values: Of all nodes, for the patterns to begin with.
        deadline: Time of ``time.monotonic`` to give up at, or None.
    """

    def __init__(self, miter: Miter, first: int, values: list[int], deadline: float | None) -> None:
        self.miter, self.graph, self.first, self.deadline = miter, miter.graph, first, deadline
        self.merged = [2 * node for node in range(len(self.graph.left))]
        every = (1 << PATTERNS) - 1
        self.flips = [value & 1 for value in values]
        self.keys = [hash(value ^ every if value & 1 else value) for value in values]
        self.classes: dict[int, list[int]] = {}
        self.told: list[Cut] = []
        self.rounds = ROUNDS[0] + ROUNDS[1] // len(values)
        self._classify(range(first))

    def _classify(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            self.classes.setdefault(self.keys[node], []).append(node)

    def literal(self, literal: int) -> int:
        """The literal that ``literal`` was proved equal to, or itself."""
        return self.merged[literal >> 1] ^ (literal & 1)

    def run(self, roots: Iterable[int]) -> None:
        """Merge all nodes below ``roots`` that can be; returns early when time is up."""
        for node in self._below(roots):
            if self.deadline is not None and time.monotonic() >= self.deadline:
                return
            self._merge(node)

    def _below(self, roots: Iterable[int]) -> list[int]:
        """The second network's nodes that roots depend on, in order."""
        needed = bytearray(len(self.graph.left))
        for root in roots:
            needed[root >> 1] = 1
        for node in range(len(needed) - 1, self.first - 1, -1):
            if needed[node]:
                needed[self.graph.left[node] >> 1] = needed[self.graph.right[node] >> 1] = 1
        return [node for node in range(self.first, len(needed)) if needed[node]]

    def _merge(self, node: int) -> None:
        graph = self.graph
        a, b = self.literal(graph.left[node]), self.literal(graph.right[node])
        known = self.miter.land(a, b)
        if known is not None and known < 2 * node:  # a later one, equal as first written, will come to this one
            self.merged[node] = self.literal(known)
            return
        graph.left[node], graph.right[node] = a, b
        self.miter.nodes[(a, b) if a < b else (b, a)] = 2 * node
        while (found := self._candidate(node)) is None:
            self._refine(node)
        if found >= 0:
            self.merged[node] = found
        else:
            self._classify([node])

    def _candidate(self, node: int) -> int | None:
        """The literal that a node equals; -1 if none is found; None if other patterns have to tell first."""
        for tried, other in enumerate(self.classes.get(self.keys[node], ())):
            if tried == CANDIDATES and self.told and self.rounds:
                return None
            if tried == CANDIDATES:
                break
            literal = 2 * other + (self.flips[node] ^ self.flips[other])
            answer = self.compare(2 * node, literal, most=CONFLICTS)
            if answer.equal:
                return literal
            if answer.cut is not None:
                self.told.append(answer.cut)
        return -1

    def compare(self, a: int, b: int, *, most: int | None = None) -> Answer:
        """What can be known of two literals."""
        answer = by_table(self.graph, a, b)
        if answer.equal or answer.cut is not None:
            return answer
        return by_sat(self.graph, a, b, deadline=self.deadline, most=most)

    def _refine(self, node: int) -> None:
        """Tell all nodes apart by the patterns found, and by such as differ from them in few inputs."""
        self.rounds -= 1
        width = NEIGHBOURS * len(self.told)
        patterns = [self.miter.random.getrandbits(width) for _ in range(self.graph.inputs)]
        for i, cut in enumerate(self.told):
            self._surround(cut, patterns, NEIGHBOURS * i)
        self.told = []
        every = (1 << width) - 1
        values = self.miter.simulate(patterns, every)
        flipped = [value ^ every if flip else value for value, flip in zip(values, self.flips, strict=True)]
        self.keys = [hash(pair) for pair in zip(self.keys, flipped, strict=True)]
        self.classes = {}
        self._classify(n for n in range(node) if self.merged[n] == 2 * n)

    def _surround(self, cut: Cut, patterns: list[int], at: int) -> None:
        """Write a pattern and its neighbours from bit ``at``: first by one input each, then by one in eight."""
        pick, half = self.miter.random, NEIGHBOURS // 2
        for leaf, value in cut.items():
            few = pick.getrandbits(half) & pick.getrandbits(half) & pick.getrandbits(half)
            bits = few << half ^ (((1 << NEIGHBOURS) - 1) if value else 0)
            patterns[leaf - 1] = patterns[leaf - 1] & ~(((1 << NEIGHBOURS) - 1) << at) | bits << at
        for j, leaf in enumerate(pick.choices([*cut], k=half - 1), 1):
            patterns[leaf - 1] ^= 1 << (at + j)
