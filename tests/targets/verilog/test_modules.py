"""Modules in Icarus Verilog beside the definition: gates, sums, argmax, with registers and without."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.logic import GroupSum, Netlist, literal
from edgegate.passes.logic import optimise
from tests.targets.logic_models import network
from tests.targets.verilog.simulation import check, design, needs_iverilog, random_bits, right

pytestmark = needs_iverilog
PIPELINES = (None, 1, 3)


def gates(inputs: int, tables: list[int], k: int) -> Netlist:
    """One layer: every table over the first ``k`` inputs."""
    fanins = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(tables), 1))
    outputs = 2 * (1 + inputs + np.arange(len(tables), dtype=np.int32))
    return Netlist(inputs=inputs, fanins=fanins, tables=np.array(tables, np.uint64), outputs=outputs)


def sums(group: list[int], member: list[int], weight: list[int], offset: list[int], bits: int) -> GroupSum:
    arrays = [np.array(data, np.int32) for data in (group, member, weight, offset)]
    return GroupSum(bits=bits, group=arrays[0], member=arrays[1], weight=arrays[2], offset=arrays[3])


def every_address(k: int) -> np.ndarray:
    return (np.arange(1 << k)[:, None] >> np.arange(k) & 1).astype(np.uint8)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_table_of_few_inputs(k):
    tables = list(range(1 << (1 << k)))
    check(design(gates(k, tables, k), None, "bits"), every_address(k))


@pytest.mark.parametrize("k", [4, 5, 6])
def test_tables_of_many_inputs(k):
    rng = np.random.default_rng(k)
    full = (1 << (1 << k)) - 1
    sparse = [1, full - 1, 1 << ((1 << k) - 1), full >> 1, sum(1 << i for i in range(1 << k) if i.bit_count() % 2)]
    drawn = [int(rng.integers(0, 1 << 63)) * 2 + int(rng.integers(2)) & full for _ in range(60)]
    check(design(gates(k, [0, full, *sparse, *drawn], k), None, "bits"), every_address(k))


@pytest.mark.parametrize("every", PIPELINES)
@pytest.mark.parametrize("kinds", [("bits",), ("counts",), ("class",), ("class", "counts")])
def test_networks(kinds, every):
    rng = np.random.default_rng(7)
    net = network(rng, 30, [60, 60, 50], 3)
    counted = None if kinds == ("bits",) else GroupSum.contiguous(50, 7)
    check(design(net, counted, *kinds), random_bits(rng, 60, 30), every)


@pytest.mark.parametrize("every", PIPELINES)
def test_one_layer(every):
    rng = np.random.default_rng(1)
    check(
        design(network(rng, 9, [21], 2), GroupSum.contiguous(21, 3), "counts", "class"), random_bits(rng, 33, 9), every
    )


@pytest.mark.parametrize("every", PIPELINES)
def test_outputs_that_no_gate_makes(every):
    """Constants, inputs, inverted inputs, one node many times; inputs that nothing reads."""
    net = gates(5, [0b0000, 0b1111, 0b1010, 0b0101, 0b0110], 2)
    outputs = np.array([0, 1, *range(2, 22), 20, 21, 20, 4, 5, 4], np.int32)
    net = Netlist(inputs=5, fanins=net.fanins, tables=net.tables, outputs=outputs)
    bits = every_address(5)
    check(design(net, None, "bits"), bits, every)
    check(design(net, GroupSum.contiguous(len(outputs), 4), "counts", "class"), bits, every)


@pytest.mark.parametrize("every", PIPELINES)
def test_constant_outputs_are_counted(every):
    """What torchlogix 0.2.2 loses: a constant 1 that simplification moves into the offset of its class."""
    rng = np.random.default_rng(2)
    net = network(rng, 12, [40, 30], 2)
    outputs = net.outputs.copy()
    outputs[[0, 3, 4, 29]], outputs[[7, 8]] = literal(0, True), literal(0)
    net = Netlist(inputs=12, fanins=net.fanins, tables=net.tables, outputs=outputs)
    counted, bits = GroupSum.contiguous(30, 3), random_bits(rng, 50, 12)
    made = optimise(net, counted)
    assert made.sums is not None and made.sums.offset.tolist() != [0, 0, 0]
    raw = design(net, counted, "counts", "class", tau=10.0, beta=2.5)
    check(raw, bits, every)
    small = design(made.netlist, made.sums, "counts", "class", tau=10.0, beta=2.5)
    check(small, bits, every)
    for a, b in zip(right(raw, bits), right(small, bits), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("every", PIPELINES)
def test_weights_of_both_signs(every):
    net = gates(6, [], 2)
    net = Netlist(inputs=6, fanins=net.fanins, tables=net.tables, outputs=np.arange(2, 14, dtype=np.int32))
    weighted = sums(
        [0] * 12 + [1] * 6 + [2, 2, 4, 4], [*range(12), *range(0, 12, 2), 0, 3, 5, 6],
        [3, -3, 1, -1, 2, -2, 7, -5, 1, 1, 1, -8, -1, -1, -1, -1, -1, -1, 1 << 20, -(1 << 20), 5, 6],
        [-7, 3, 100, -9, 0], 12,
    )  # fmt: skip
    check(design(net, weighted, "counts", "class"), every_address(6), every)


def test_the_ends_of_int32():
    net = Netlist(
        inputs=2, fanins=np.zeros((0, 1), np.int32), tables=np.zeros(0, np.uint64), outputs=np.array([2, 4], np.int32)
    )
    most = (1 << 31) - 1
    extreme = sums([0, 1, 2, 2], [0, 1, 0, 1], [most, -most, 1 << 30, -(1 << 30)], [0, -1, 5], 2)
    check(design(net, extreme, "counts", "class"), every_address(2), 1)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 8, 10, 13])
def test_the_lowest_of_equals_wins(groups):
    """Two bits a class: ties nearly always; a class ahead of the others by its offset; all alike."""
    rng = np.random.default_rng(groups)
    width = 2 * groups
    net = Netlist(
        inputs=width, fanins=np.zeros((0, 1), np.int32), tables=np.zeros(0, np.uint64),
        outputs=2 + 2 * np.arange(width, dtype=np.int32),
    )  # fmt: skip
    plain = GroupSum.contiguous(width, groups)
    ahead = rng.integers(-2, 2, groups).tolist()
    moved = sums(plain.group.tolist(), plain.member.tolist(), plain.weight.tolist(), ahead, width)
    for counted in (plain, moved):
        check(design(net, counted, "class"), random_bits(rng, 100, width))


@pytest.mark.parametrize("every", [None, 16])
def test_two_thousand_classes(every):
    rng = np.random.default_rng(3)
    net = network(rng, 64, [4000], 2)
    check(design(net, GroupSum.contiguous(4000, 2000), "counts", "class"), random_bits(rng, 5, 64), every)
