from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, counts, evaluate
from edgegate.passes.logic import decompose, drop_dead, eliminate, optimise, schedule, share_gates
from tests.passes.logic.trained_nets import TABLES, every_input, netlist, netlists, sums

NOTHING = np.zeros(0, np.int32)


def gates(inputs, rows, tables, outputs) -> Netlist:
    fanins = np.array(rows, np.int32).reshape(len(tables), -1 if tables else 2)
    return Netlist(
        inputs=inputs, fanins=fanins, tables=np.array(tables, np.uint64), outputs=np.array(outputs, np.int32)
    )


def same(a: Netlist, b: Netlist) -> bool:
    rows = every_input(a.inputs)
    return bool((evaluate(a, rows) == evaluate(b, rows)).all())


def check(net: Netlist, counted: GroupSum | None, k: int):
    """Bit for bit what the definition says, claims and sums; returns the result."""
    best = optimise(net, counted, k=k)
    assert best.netlist.k == k and best.claims.dtype == np.int32
    assert same(replace(best.netlist, outputs=best.claims), net)
    if counted is None:
        assert (best.claims == best.netlist.outputs).all()
        return best
    rows = every_input(net.inputs)
    outputs = best.netlist.outputs
    assert best.sums is not None
    assert (outputs & 1 == 0).all() and (np.diff(outputs, prepend=0) > 0).all()  # distinct, no constant, none inverted
    assert set(best.sums.member.tolist()) == set(range(len(outputs)))
    assert (counts(best.sums, evaluate(best.netlist, rows)) == counts(counted, evaluate(net, rows))).all()
    return best


@settings(max_examples=150, deadline=None)
@given(netlists(), st.integers(2, 6), st.booleans(), st.integers(0, 1 << 30))
def test_the_function_stays(net, k, counted, seed):
    check(net, sums(seed, len(net.outputs), 3) if counted else None, k)


@settings(max_examples=60, deadline=None)
@given(netlists(), st.integers(2, 6))
def test_every_pass_alone_keeps_the_function(net, k):
    small = share_gates(net)
    assert same(small, net) and same(drop_dead(net), net)
    parts = decompose(small, k)
    assert parts.k == k and same(parts, net)
    assert same(eliminate(parts, k), net)


@settings(max_examples=40, deadline=None)
@given(netlists())
def test_shared_gates_are_in_normal_form(net):
    small = share_gates(net)
    seen = set()
    for row, table in zip(small.fanins.tolist(), small.tables.tolist(), strict=True):
        used = [f for f in row if f]
        assert len(used) >= 2 and used == sorted(set(used)) and table & 1 == 0
        for j in range(small.k):
            halves = [[table >> i & 1 for i in range(1 << small.k) if i >> j & 1 == v] for v in (0, 1)]
            assert (halves[0] != halves[1]) == (j < len(used))
        seen.add((*row, table))
    assert len(seen) == small.gates


@pytest.mark.parametrize("k", [2, 3, 6])
def test_outputs_without_gates(k):
    best = check(gates(2, [], [], [0, 1, 2, 3, 4, 5, 2]), None, k)
    assert best.claims.tolist() == [0, 1, 2, 3, 4, 5, 2] and best.netlist.gates == 0
    best = check(gates(2, [], [], [0, 1, 2, 3, 4, 5, 2]), GroupSum.contiguous(7, 1), k)
    assert best.netlist.outputs.tolist() == [2] and best.sums.offset.tolist() == [3]  # 1 + a + ~a + b + ~b + a


def test_one_gate():
    for table in range(16):
        for row in ([1, 2], [2, 1], [1, 1], [0, 2], [0, 0]):
            check(gates(2, [row], [table], [6, 7]), GroupSum.contiguous(2, 1), 3)
    assert optimise(gates(2, [[1, 2]], [0b1000], [6])).netlist.gates == 1


def test_what_collapses_to_wires():
    net = netlist(3, gates=200, outputs=40)
    wires = np.random.default_rng(0).choice(np.array(TABLES[:6], np.uint64), 200)
    best = check(replace(net, tables=wires), GroupSum.contiguous(40, 4), 3)
    assert best.netlist.gates == 0 and len(best.netlist.outputs) > 0


def test_terms_cancel():
    net = gates(2, [[1, 2]], [0b1000], [6, 7, 6])
    counted = GroupSum(
        bits=3,
        group=np.array([0, 0, 1, 1, 1], np.int32),
        member=np.array([0, 1, 0, 1, 2], np.int32),
        weight=np.array([2, 2, 1, 3, 4], np.int32),
        offset=np.array([1, 0, 5], np.int32),
    )
    best = check(net, counted, 3)
    assert best.sums.offset.tolist() == [3, 3, 5] and best.sums.weight.tolist() == [2]


def test_groups_without_terms():
    empty = GroupSum(bits=2, group=NOTHING, member=NOTHING, weight=NOTHING, offset=np.array([4, -1], np.int32))
    best = check(gates(2, [[1, 2]], [0b1000], [6, 7]), empty, 3)
    assert len(best.netlist.outputs) == 0 and best.claims.tolist() == [6, 7]


def test_a_gate_goes_into_both_readers():
    net = gates(4, [[1, 2], [5, 3], [5, 4]], [0b0110, 0b1000, 0b1110], [12, 14])
    assert check(net, None, 3).netlist.gates == 2
    assert check(net, None, 2).netlist.gates == 3


def test_a_wide_gate_stays_whole():
    rng = np.random.default_rng(5)
    table = int(rng.integers(1, 1 << 63, dtype=np.uint64))
    net = gates(6, [[1, 2, 3, 4, 5, 6]], [table], [14])
    assert check(net, None, 6).netlist.gates == 1
    assert 5 <= check(net, None, 3).netlist.gates <= 15
    parity = sum(1 << i for i in range(64) if i.bit_count() & 1)
    assert check(gates(6, [[1, 2, 3, 4, 5, 6]], [parity], [14]), None, 2).netlist.gates == 5
    assert check(gates(6, [[1, 2, 3, 4, 5, 6]], [parity], [14]), None, 3).netlist.gates == 3


def test_a_changed_table_is_seen():
    net = netlist(1, inputs=9, gates=200, outputs=40)
    best = optimise(net)
    assert best.netlist.gates > 5
    tables = best.netlist.tables.copy()
    tables[-1] ^= np.uint64(0b10000001)
    whole = replace(best.netlist, outputs=best.claims)
    assert same(whole, net) and not same(replace(whole, tables=tables), net)


def test_wrong_arguments():
    net = netlist(0)
    with pytest.raises(ValueError, match="not k = 1"):
        optimise(net, k=1)
    with pytest.raises(ValueError, match="sums of 3 bits do not count the 12 outputs"):
        optimise(net, GroupSum.contiguous(3, 1))


def test_equal_runs_are_equal():
    net = netlist(7, inputs=9, gates=300, outputs=60)
    a, b = optimise(net), optimise(net)
    assert (a.netlist.fanins == b.netlist.fanins).all() and (a.netlist.tables == b.netlist.tables).all()


@pytest.mark.parametrize("k", [2, 3, 6])
def test_a_long_chain(k):
    """Of two inputs in turn: every gate may go into the next one."""
    rows = [[1, 2], *([3 + i, 1 + i % 2] for i in range(3000))]
    net = gates(2, rows, [0b1000, *([0b0110, 0b1110, 0b0010] * 1000)], [2 * 3003, 2 * 2000])
    best = check(net, GroupSum.contiguous(2, 1), k)
    assert same(schedule(best.netlist), best.netlist)


def test_a_hub():
    """One gate that every other one reads."""
    rows = [[1, 2], *([1 + i % 8, 9] for i in range(400)), *([10 + i, 409 - i] for i in range(200))]
    net = gates(8, rows, [0b0110] * 401 + [0b1000] * 200, range(820, 1220, 2))
    best = check(net, GroupSum.contiguous(200, 3), 3)
    assert same(schedule(best.netlist), best.netlist)
