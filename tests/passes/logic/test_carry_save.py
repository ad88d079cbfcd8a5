from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, counts, evaluate
from edgegate.passes.logic import Planes, carry_save, optimise
from edgegate.passes.logic.light import signed_digits
from tests.passes.logic.trained_nets import every_input, netlist, netlists, sums


def total(planes: Planes, rows):
    """What the planes add up to, int64 [N, K]."""
    y = np.tile(planes.offset.astype(np.int64), (len(rows), 1))
    bits = evaluate(planes.netlist, rows).astype(np.int64)
    for p, (group, shift) in enumerate(zip(planes.group.tolist(), planes.shift.tolist(), strict=True)):
        y[:, group] += bits[:, p] << shift
    return y


def check(net: Netlist, counted: GroupSum, shallow: bool = False) -> Planes:
    planes = carry_save(net, counted, shallow=shallow)
    rows = every_input(net.inputs)
    assert (total(planes, rows) == counts(counted, evaluate(net, rows))).all()
    assert len(set(zip(planes.group.tolist(), planes.shift.tolist(), strict=True))) == len(planes.group)
    assert (np.diff(planes.group) >= 0).all()
    return planes


@settings(max_examples=100, deadline=None)
@given(netlists(), st.sampled_from([0, 2, 3, 4, 5, 6]), st.integers(1, 4), st.booleans(), st.integers(0, 1 << 30))
def test_planes_add_up(net, k, groups, shallow, seed):
    counted = sums(seed, len(net.outputs), groups)
    planes = check(net, counted)
    if k:
        rows = every_input(net.inputs)
        assert (total(planes, rows) == total(best(net, counted, k, shallow), rows)).all()


def best(net: Netlist, counted: GroupSum, k: int = 3, shallow: bool = False) -> Planes:
    """The planes of the netlist made small first."""
    small = optimise(net, counted, k=k)
    assert small.sums is not None
    return check(small.netlist, small.sums, shallow)


def wires(bits: int, k: int) -> Netlist:
    """No gates: the outputs are the inputs."""
    outputs = np.arange(2, 2 * bits + 2, 2, dtype=np.int32)
    return Netlist(inputs=bits, fanins=np.zeros((0, k), np.int32), tables=np.zeros(0, np.uint64), outputs=outputs)


@pytest.mark.parametrize(("k", "each"), [(2, 5), (3, 2), (4, 2), (5, 1.5), (6, 1)])
def test_gates_for_each_bit(k, each):
    """Every counter takes as many bits away as its kind can; half adders come on top, once for each power of two."""
    for shallow in (False, True):
        gates = check_wires(k, shallow).netlist.gates
        assert gates <= each * 1013 + 40
        if k == 3:
            assert gates == 2 * 1013  # 1023 = 2**10 - 1 bits need no half adder


@pytest.mark.parametrize("bits", range(1, 13))
@pytest.mark.parametrize("k", [2, 3, 5, 6])
def test_every_number_of_bits(bits, k):
    planes = check(wires(bits, k), GroupSum.contiguous(bits, 1))
    assert planes.shift.tolist() == list(range(bits.bit_length()))


def test_adders_stand_right_behind_their_bits():
    """Three gates, an adder; then one for every two gates, and one for every three carries."""
    rows = np.array([[1, 2 + i, 3 + i] for i in range(9)], np.int32)
    outputs = np.arange(24, 42, 2, dtype=np.int32)
    net = Netlist(inputs=11, fanins=rows, tables=np.full(9, 0b10111000, np.uint64), outputs=outputs)
    made = check(net, GroupSum.contiguous(9, 1)).netlist.fanins
    kinds = "".join("A" if row[2] > 11 else "g" for row in made.tolist())
    assert kinds.startswith("gggAAggAAggAAAAggAA")


@pytest.mark.parametrize(("k", "width", "gates"), [(3, 2, 3), (3, 3, 4), (4, 3, 3), (4, 4, 4), (4, 2, 3)])
def test_light_gates_are_never_made(k, width, gates):
    """Two gates with an input to spare cost three gates with their adder, other ones four."""
    rng = np.random.default_rng(k)
    rows = np.zeros((201, k), np.int32)
    rows[:, :width] = [np.sort(rng.choice(np.arange(1, 31), width, replace=False)) for _ in rows]
    table = {2: 0b1000, 3: 0b11101000, 4: 0b1110100110010111}[width] * (0x1111 if k > width == 2 else 0x101)
    tables = np.full(201, table & ((1 << (1 << k)) - 1), np.uint64)
    outputs = np.arange(62, 62 + 402, 2, dtype=np.int32)
    net = Netlist(inputs=30, fanins=rows, tables=tables, outputs=outputs)
    net = optimise(net, k=k).netlist
    counted = GroupSum.contiguous(201, 1)
    planes = carry_save(net, counted)
    bits = rng.integers(0, 2, (200, 30)).astype(np.uint8)
    assert (total(planes, bits) == counts(counted, evaluate(net, bits))).all()
    carries = 2 * 100  # of the 100 carries of the first column, and theirs
    assert planes.netlist.gates <= gates * 100 + carries + 20


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_number_of_light_gates(bits):
    rows = np.array([[i, i + 1, 0] for i in range(1, bits + 1)], np.int32)
    outputs = np.arange(2 * bits + 4, 4 * bits + 4, 2, dtype=np.int32)
    net = Netlist(inputs=bits + 1, fanins=rows, tables=np.full(bits, 0b11101110, np.uint64), outputs=outputs)
    planes = check(net, GroupSum.contiguous(bits, 1))
    assert planes.shift.tolist() == list(range(bits.bit_length()))


def test_shallow_sums_are_shallow():
    for k in (2, 3, 6):
        deep = check_wires(k, False).netlist.depth
        assert check_wires(k, True).netlist.depth < 45 < deep


def check_wires(k: int, shallow: bool) -> Planes:
    planes = carry_save(wires(1023, k), GroupSum.contiguous(1023, 1), shallow=shallow)
    rows = np.random.default_rng(0).integers(0, 2, (50, 1023)).astype(np.uint8)
    rows[0], rows[1] = 0, 1
    assert (total(planes, rows)[:, 0] == rows.sum(1)).all()
    assert planes.shift.tolist() == list(range(10))
    return planes


@settings(max_examples=60, deadline=None)
@given(st.integers(-(1 << 20), 1 << 20).filter(bool))
def test_signed_digits(weight):
    digits = signed_digits(weight)
    assert sum(sign << j if sign > 0 else -(1 << j) for sign, j in digits) == weight
    assert len(digits) <= abs(weight).bit_count() and len({j for _, j in digits}) == len(digits)


def test_digits_are_few():
    assert signed_digits(1) == [(1, 0)] and signed_digits(-1) == [(-1, 0)] and signed_digits(3) == [(1, 0), (1, 1)]
    assert signed_digits(7) == [(-1, 0), (1, 3)] and signed_digits(-7) == [(1, 0), (-1, 3)]


def test_weights_groups_and_constants():
    net = replace(wires(3, 3), outputs=np.array([0, 1, 2, 3, 4, 5, 6, 2], np.int32))
    group = np.array([0, 0, 0, 0, 1, 1, 1, 3, 3], np.int32)
    member = np.array([0, 1, 2, 3, 2, 4, 6, 7, 2], np.int32)
    weight = np.array([5, 7, 3, 3, 100, -100, 31, 4, -4], np.int32)
    counted = GroupSum(bits=8, group=group, member=member, weight=weight, offset=np.array([1, -5, 9, 2], np.int32))
    planes = check(net, counted)
    assert set(planes.group.tolist()) == {1} and planes.offset[[0, 2, 3]].tolist() == [11, 9, 2]


def test_no_sums():
    none = np.zeros(0, np.int32)
    planes = check(wires(2, 3), GroupSum(bits=2, group=none, member=none, weight=none, offset=none))
    assert len(planes.group) == 0 and planes.netlist.gates == 0


def test_planes_are_upright_where_gates_are_wide():
    net = netlist(4, inputs=8, gates=300, k=3, outputs=80)
    counted = replace(GroupSum.contiguous(80, 2), weight=-np.ones(80, np.int32))
    assert (best(net, counted).netlist.outputs & 1 == 0).all()


def test_two_inputs_need_no_inverter():
    """The gates that processors have: and, or, exclusive or, and-not."""
    net = netlist(4, inputs=8, gates=300, k=3, outputs=80)
    planes = best(net, GroupSum.contiguous(80, 2), 2)
    assert set(planes.netlist.tables.tolist()) <= {0b1000, 0b0010, 0b0100, 0b1110, 0b0110}


def test_a_changed_table_is_seen():
    net = netlist(1, inputs=9, gates=200, outputs=40)
    planes = check(net, GroupSum.contiguous(40, 3))
    tables = planes.netlist.tables.copy()
    tables[-1] ^= np.uint64(1)
    rows = every_input(net.inputs)
    wrong = replace(planes, netlist=replace(planes.netlist, tables=tables))
    assert (total(wrong, rows) != total(planes, rows)).any()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="sums of 3 bits do not count the 2 outputs"):
        carry_save(wires(2, 3), GroupSum.contiguous(3, 1))
    huge = replace(GroupSum.contiguous(2, 1), weight=np.array([1 << 30, 1 << 30], np.int32))
    with pytest.raises(ValueError, match="may not fit int32"):
        carry_save(wires(2, 3), huge)
    huge = replace(huge, weight=np.array([2**31 - 1, 2**31 - 1], np.int32))
    with pytest.raises(ValueError, match="does not fit int32"):
        carry_save(replace(wires(2, 3), outputs=np.array([2, 2], np.int32)), huge)
