from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, counts, evaluate
from edgegate.passes.logic import carry_save, drop_dead, eliminate, light, optimise, share_gates, share_outputs
from edgegate.passes.logic._independent import independent_set
from tests.passes.logic.trained_nets import every_input, layers, netlist, netlists, sums


@st.composite
def graphs(draw):
    n = draw(st.integers(0, 10))
    edges = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
    graph: list[set[int]] = [set() for _ in range(n)]
    for a, b in edges:
        if a != b and max(a, b) < n:
            graph[a].add(b)
            graph[b].add(a)
    return graph, draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_no_set_is_worth_more(case):
    graph, worth = case
    chosen = [v for v, inside in enumerate(independent_set(graph, worth, 300)) if inside]
    assert all(b not in graph[a] for a, b in combinations(chosen, 2))
    free = (s for size in range(len(graph) + 1) for s in combinations(range(len(graph)), size))
    best = max(sum(worth[v] for v in s) for s in free if all(b not in graph[a] for a, b in combinations(s, 2)))
    assert sum(worth[v] for v in chosen) == best


def test_search_finds_more_than_greed():
    """Layers with random wiring, as in trained nets."""
    net = layers(60, 400, 4)
    bits = np.random.default_rng(0).integers(0, 2, (100, 60)).astype(np.uint8)
    greedy, found = eliminate(net, 3, rounds=0), eliminate(net, 3)
    assert found.gates < greedy.gates < 0.85 * net.gates
    assert optimise(net, spend=0.1).netlist.gates <= found.gates < optimise(net, spend=0).netlist.gates
    assert (evaluate(found, bits) == evaluate(net, bits)).all()


def test_greed_where_branches_meet_again():
    net = drop_dead(share_gates(netlist(5, inputs=60, gates=3000, outputs=600)))
    assert eliminate(net, 3).gates <= eliminate(net, 3, rounds=0).gates


@settings(max_examples=40, deadline=None)
@given(netlists(), st.integers(0, 1 << 30))
def test_light_gates_change_nothing_but_the_cover(net, seed):
    counted = sums(seed, len(net.outputs), 3)
    small, shared = share_outputs(drop_dead(share_gates(net)), counted)
    cover = eliminate(small, max(net.k, 3), light(small, shared))
    rows = every_input(net.inputs)
    assert (counts(shared, evaluate(cover, rows)) == counts(counted, evaluate(net, rows))).all()


def test_light_gates_make_sums_smaller():
    counted = GroupSum.contiguous(400, 3)
    small, shared = share_outputs(layers(60, 400, 4), counted)
    plain, aware = (eliminate(small, 3, which) for which in ((), light(small, shared)))
    assert plain.gates <= aware.gates
    assert carry_save(aware, shared).netlist.gates < carry_save(plain, shared).netlist.gates


def test_light_is_counted_once_and_read_by_nothing():
    rows = np.array([[1, 2], [1, 2], [1, 2], [3, 1]], np.int32)
    tables = np.array([8, 6, 14, 8], np.uint64)
    net = Netlist(inputs=2, fanins=rows, tables=tables, outputs=np.array([2, 6, 8, 10, 12], np.int32))
    group = np.array([0, 0, 0, 0, 0, 1], np.int32)
    member = np.array([0, 1, 2, 3, 4, 3], np.int32)
    weight = np.array([1, 1, -4, 1, 3, 1], np.int32)
    assert light(net, GroupSum(bits=5, group=group, member=member, weight=weight, offset=np.zeros(2, np.int32))) == {4}
