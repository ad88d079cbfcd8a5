from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, evaluate
from edgegate.passes.logic import carry_save, far_reads, live_set, optimise, schedule, statistics
from tests.passes.logic.trained_nets import every_input, layers, netlist, netlists


def waiting(net: Netlist) -> int:
    """The live set by its definition: gates made, and read by a gate still to come."""
    own = np.arange(net.first, net.first + net.gates)
    last = own.copy()
    for gate, row in zip(own, net.fanins, strict=True):
        for f in row[row >= net.first]:
            last[f - net.first] = gate
    return max([int(((own <= gate) & (last > gate)).sum()) for gate in own], default=0)


@settings(max_examples=80, deadline=None)
@given(netlists())
def test_the_function_and_the_gates_stay(net):
    found = schedule(net)
    rows = every_input(net.inputs)
    assert (evaluate(found, rows) == evaluate(net, rows)).all()
    assert sorted(found.tables.tolist()) == sorted(net.tables.tolist())
    assert far_reads(found) <= far_reads(net)


@settings(max_examples=40, deadline=None)
@given(netlists())
def test_the_live_set_is_what_waits(net):
    assert waiting(net) <= live_set(net) <= waiting(net) + 1  # a value may be written before its place is let go


def test_values_wait_less():
    net = optimise(layers(40, 600, 5)).netlist
    found = schedule(net)
    assert live_set(found) < 0.75 * live_set(net)
    assert far_reads(found, 100) < 0.75 * far_reads(net, 100)


def test_gates_that_no_output_reads_come_last():
    net = optimise(layers(20, 60, 3)).netlist
    half = replace(net, outputs=net.outputs[:10])
    found = schedule(half)
    assert sorted(found.tables.tolist()) == sorted(net.tables.tolist())


def test_deep_nets_with_wide_cones():
    """Adders in a chain: no output needs few gates."""
    net = netlist(3, inputs=8, gates=2000, outputs=300)
    small = optimise(net, GroupSum.contiguous(300, 2))
    assert small.sums is not None
    planes = carry_save(small.netlist, small.sums).netlist
    mixed = planes.by_level()
    found = schedule(mixed)
    rows = every_input(8)
    assert (evaluate(found, rows) == evaluate(planes, rows)).all()


def test_far_reads_counts_places():
    """Four inputs read in turn, twice: near if four places are remembered and the gate's own, far otherwise."""
    rows = np.array([[1, 2], [3, 4], [1, 2], [3, 4]], np.int32)
    net = Netlist(inputs=4, fanins=rows, tables=np.full(4, 8, np.uint64), outputs=np.array([], np.int32))
    assert far_reads(net, 5) == 4 and far_reads(net, 3) == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_equal_runs_are_equal(seed):
    net = netlist(seed, inputs=9, gates=150, k=3, outputs=40)
    assert (schedule(net).fanins == schedule(net).fanins).all()


def test_statistics():
    net = Netlist(
        inputs=2,
        fanins=np.array([[1, 2, 0], [1, 2, 3]], np.int32),
        tables=np.array([0b10001000, 0b10010110], np.uint64),
        outputs=np.array([8, 9], np.int32),
    )
    found = statistics(net)
    assert found["gates"] == 2 and found["widths"] == [0, 0, 1, 1] and found["depth"] == 2
    assert found["inputs"] == 2 and found["outputs"] == 2 and found["live_set"] == 1
