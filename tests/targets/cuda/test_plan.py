"""The program of a block, replayed in numpy from the arrays that the kernel reads, gives the definition's bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, counts, evaluate
from edgegate.passes.logic.optimise import optimise
from edgegate.targets.cuda_logic import Crowded, Shape, choose, plan
from edgegate.targets.cuda_logic.gates import Gates
from edgegate.targets.cuda_logic.sets import grouped, waves
from edgegate.targets.cuda_logic.steps import Kind
from edgegate.targets.cuda_logic.terms import MOST_TERMS, terms_of
from tests.targets.cuda.emulator import Block, decoded
from tests.targets.logic_models import network

RNG = np.random.default_rng(3)
SHAPES = [Shape(words=w, warps=n) for w, n in ((8, 32), (8, 4), (4, 16), (2, 4), (1, 4))]
SHAPES.append(Shape(words=32, warps=8, shared=False))


def bits_of(netlist: Netlist, samples: int = 40):
    return (RNG.random((samples, netlist.inputs)) < 0.5).astype(np.uint8)


def replayed(found, bits):
    block = Block(found, bits.astype(bool))
    return block.run(), block.shown()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("optimised", [False, True])
def test_a_plan_counts_as_the_definition(shape, optimised):
    netlist, sums = network(RNG, 50, (300, 260, 230), 2), GroupSum.contiguous(230, 7)
    if optimised:
        small = optimise(netlist, sums)
        assert small.sums is not None
        netlist, sums = small.netlist, small.sums
    x = bits_of(netlist, 20)
    found = plan(netlist, sums, shape, limit=1 << 12)
    np.testing.assert_array_equal(replayed(found, x)[0], counts(sums, evaluate(netlist, x)))


@given(st.data())
@settings(max_examples=40)
def test_any_network_and_any_sums(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    k, inputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    netlist = network(rng, inputs, data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)), k)
    literals = rng.integers(0, 2 * (netlist.first + netlist.gates), data.draw(st.integers(1, 50))).astype(np.int32)
    netlist = Netlist(inputs=inputs, fanins=netlist.fanins, tables=netlist.tables, outputs=literals)
    groups = data.draw(st.integers(1, 300))
    pairs = np.unique(rng.integers(0, [groups, len(literals)], (80, 2)), axis=0).astype(np.int32)
    sums = GroupSum(
        bits=len(literals), group=pairs[:, 0].copy(), member=pairs[:, 1].copy(),
        weight=rng.choice(np.array([-3, -1, 1, 2, 17], np.int32), len(pairs)),
        offset=rng.integers(-(2**20), 2**20, groups).astype(np.int32),
    )  # fmt: skip
    shape = data.draw(st.sampled_from(SHAPES))
    shown = data.draw(st.integers(0, len(literals)))
    found = plan(netlist, sums, shape, limit=4000, shown=shown, rounds=data.draw(st.integers(1, 4)))
    x = (rng.random((9, inputs)) < 0.5).astype(np.uint8)
    expected = evaluate(netlist, x)
    made, bits = replayed(found, x)
    np.testing.assert_array_equal(made, counts(sums, expected))
    np.testing.assert_array_equal(bits, expected[:, len(literals) - shown :])


def test_bits_alone_and_sums_of_two_thousand_classes():
    netlist = network(RNG, 40, (200, 2100), 3)
    x = bits_of(netlist)
    shown = plan(netlist, None, Shape(words=8), limit=4000, shown=2100)
    np.testing.assert_array_equal(replayed(shown, x)[1], evaluate(netlist, x))
    sums = GroupSum.contiguous(2100, 2000)
    found = plan(netlist, sums, Shape(words=8, warps=8), limit=4000)
    assert found.teams.rounds > 1
    np.testing.assert_array_equal(replayed(found, x)[0], counts(sums, evaluate(netlist, x)))


def test_little_memory_is_told_or_enough():
    netlist, sums = network(RNG, 64, (500, 500, 480), 2), GroupSum.contiguous(480, 10)
    room = 460
    found = plan(netlist, sums, Shape(words=8, warps=4), limit=room)
    assert found.slots <= room
    x = bits_of(netlist)
    np.testing.assert_array_equal(replayed(found, x)[0], counts(sums, evaluate(netlist, x)))
    with pytest.raises(Crowded, match="alive"):
        plan(netlist, sums, Shape(words=8, warps=4), limit=90)


def test_slots_beyond_what_a_compact_entry_names():
    netlist, sums = network(RNG, 30, (100, 90), 3), GroupSum.contiguous(90, 3)
    found = plan(netlist, sums, Shape(words=4, warps=4), limit=1 << 14)
    assert found.entries.shape[-1] == 4
    x = bits_of(netlist)
    np.testing.assert_array_equal(replayed(found, x)[0], counts(sums, evaluate(netlist, x)))


@pytest.mark.parametrize("capability", [75, 80, 86, 87, 89, 90])
def test_every_gpu_gets_a_block_that_fits(capability):
    netlist, sums = network(RNG, 64, (700, 650, 600), 2), GroupSum.contiguous(600, 10)
    found = choose(netlist, sums, capability)
    assert found.plan.shape.shared and found.plan.shape.words == 8


def test_what_fits_in_no_shared_memory_lies_in_global_memory():
    wide = network(np.random.default_rng(0), 17_000, (600,), 2)  # whatever ran before
    assert choose(wide, GroupSum.contiguous(600, 10), 75).plan.slots < 2000, "only inputs that are read have slots"
    every = np.arange(17_000, dtype=np.int32)
    read = Netlist(inputs=17_000, fanins=wide.fanins, tables=wide.tables, outputs=2 * (1 + every))
    assert not choose(read, None, 75, shown=17_000).plan.shape.shared


def test_gates_are_the_same_in_any_order_of_their_operands():
    netlist = network(RNG, 9, (80,), 3)
    gates = Gates.of(netlist)
    values = np.concatenate([np.zeros((50, 1), np.uint8), bits_of(netlist, 50)], 1)
    address = sum(values[:, gates.operands[:, j]].astype(np.int64) << j for j in range(3))
    np.testing.assert_array_equal(gates.tables >> address & 1, evaluate(all_gates(netlist), values[:, 1:]))
    with pytest.raises(ValueError, match="3 operands"):
        Gates.of(network(RNG, 9, (5,), 4))


def all_gates(netlist: Netlist) -> Netlist:
    outputs = 2 * np.arange(netlist.first, netlist.first + netlist.gates, dtype=np.int32)
    return Netlist(inputs=netlist.inputs, fanins=netlist.fanins, tables=netlist.tables, outputs=outputs)


def test_sets_have_few_conflicts():
    colours = RNG.integers(0, 4, (1000, 3))
    for orders in (None, np.array([[0, 1, 2], [1, 0, 2]])):
        order, turned = grouped(colours, 4, RNG, orders)
        assert sorted(order.tolist()) == list(range(1000))
        made = np.take_along_axis(colours, turned, 1)[order]
        assert waves(made, 4) < 1.1 * 750 < 1.5 * 750 < waves(colours, 4)
        assert waves(made[:800], 4) < 1.03 * 600, "those without conflicts come first"


def test_warps_of_one_table_read_their_operands_at_once():
    netlist, sums = network(RNG, 256, (2500, 2500, 2400), 2), GroupSum.contiguous(2400, 10)
    small = optimise(netlist, sums, spend=0)
    found = plan(small.netlist, small.sums, Shape(words=8), limit=7000)
    slots, _ = decoded(found.entries)
    alike = (found.heads & 0xFFFF) >= Kind.ONE_TABLE
    assert alike.sum() > 20
    colours = slots[[0, 1, 3]][:, alike].reshape(3, -1).T % 4
    assert waves(colours, 4) < 1.35 * len(colours) * 3 / 4


def test_too_many_terms_are_refused():
    netlist = network(RNG, 4, (4,), 2)
    one = np.zeros(1, np.int32)
    sums = GroupSum(bits=4, group=one, member=one, weight=one + MOST_TERMS + 1, offset=one)
    with pytest.raises(ValueError, match="add up"):
        terms_of(netlist, sums)
