"""Independent sets of much worth: greedy, then local search."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random

Graph = Sequence[set[int]]
"""Of every vertex its neighbours."""

REACH = 60
"""Vertices near a change that are tried again."""


def independent_set(graph: Graph, worth: Sequence[int], rounds: int) -> bytearray:
    """Vertices of which no two are neighbours, worth as much together as we can find.

    Greedy first: the vertex with the fewest neighbours left for its worth. Then, ``rounds`` times, one vertex is
    forced in, its neighbours go out, and what has become worth more than its neighbours goes in; that stays unless
    the set is worth less.

    Args:
        graph: Of every vertex its neighbours, itself not among them.
        worth: Of every vertex, at least 1.
        rounds: Work to do; what is drawn is always the same.

    Returns:
        1 for every vertex of the set.

    Source:
        Halldórsson and Radhakrishnan, Greed is Good, STOC 1994; Andrade, Resende, Werneck, Fast Local Search for the
        Maximum Independent Set Problem, J. Heuristics 18, 2012: iterated local search, here with weights.
    """
    chosen = _greedy(graph, worth)
    search = _Search(graph, worth, chosen)
    crossed = [vertex for vertex, near in enumerate(graph) if near]
    draw = Random(0).random
    for _ in range(rounds if crossed else 0):
        search.force(crossed[int(draw() * len(crossed))])
    return chosen


def _greedy(graph: Graph, worth: Sequence[int]) -> bytearray:
    live, degree = bytearray([1]) * len(graph), [len(near) for near in graph]
    key = [60 * (count + 1) // value for count, value in zip(degree, worth, strict=True)]
    heap = [(k, vertex) for vertex, k in enumerate(key)]
    heapify(heap)
    chosen = bytearray(len(graph))
    while heap:
        k, vertex = heappop(heap)
        if not live[vertex] or key[vertex] != k:
            continue
        chosen[vertex], live[vertex] = 1, 0
        out = [near for near in graph[vertex] if live[near]]
        for near in out:
            live[near] = 0
        for far in [far for near in out for far in graph[near] if live[far]]:
            degree[far] -= 1
            key[far] = 60 * (degree[far] + 1) // worth[far]
            heappush(heap, (key[far], far))
    return chosen


class _Search:
    """An independent set, and for every vertex what those of its neighbours are worth that are in it."""

    def __init__(self, graph: Graph, worth: Sequence[int], chosen: bytearray) -> None:
        self.graph, self.worth, self.chosen = graph, worth, chosen
        self.against = [sum([worth[near] for near in nears if chosen[near]]) for nears in graph]
        self.log: list[int] = []

    def force(self, vertex: int) -> None:
        """Put ``vertex`` in, mend what is near, and take it all back if it is worth less than before."""
        if self.chosen[vertex]:
            return
        graph, chosen, against, worth = self.graph, self.chosen, self.against, self.worth
        self.log = []
        gain = 0
        waiting = [vertex]
        for place, other in enumerate(waiting):
            if place > REACH:
                break
            if place and (chosen[other] or against[other] >= worth[other] or vertex in graph[other]):
                continue
            gain += worth[other] - against[other]
            for out in [near for near in graph[other] if chosen[near]]:
                self._turn(out)
                waiting.extend(graph[out])
            self._turn(other)
        if gain < 0:
            for other in self.log[::-1]:
                self._turn(other)

    def _turn(self, vertex: int) -> None:
        """Put a vertex in, or out."""
        self.chosen[vertex] ^= 1
        self.log.append(vertex)
        value, against = self.worth[vertex] if self.chosen[vertex] else -self.worth[vertex], self.against
        for near in self.graph[vertex]:
            against[near] += value
