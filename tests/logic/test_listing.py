"""Netlists as data for interpreters: run as an interpreter would, they give the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.logic import Netlist, evaluate
from edgegate.logic.listing import Listing, listing_of, narrowed, needed
from tests.targets.logic_models import network


def interpreted(listing: Listing, bits):
    """Slots as columns of bytes, full of rubbish at first."""
    slots = np.full((listing.slots, len(bits)), 7, np.uint8)
    slots[0], slots[1 : 1 + listing.inputs] = 0, (bits != 0).T
    for r, table in enumerate(listing.tables.tolist()):
        for *read, made in listing.operands[listing.starts[r] : listing.starts[r + 1]].tolist():
            address = sum(slots[slot] << j for j, slot in enumerate(read))
            slots[made] = table >> address & 1
    return (slots[listing.outputs >> 1] ^ (listing.outputs & 1).astype(np.uint8)[:, None]).T


@pytest.mark.parametrize("window", [None, 1, 7, 100])
@pytest.mark.parametrize("k", range(1, 7))
def test_the_same_bits(k, window):
    rng = np.random.default_rng(k)
    netlist = network(rng, 12, (40, 30, 50), k)
    listing = listing_of(netlist, window)
    x = rng.integers(0, 2, (64, 12)).astype(np.uint8)
    np.testing.assert_array_equal(interpreted(listing, x), evaluate(netlist, x))
    assert (
        listing.starts[0] == 0 and listing.starts[-1] == len(listing.operands) and (np.diff(listing.starts) > 0).all()
    )


def test_every_table_of_three_inputs():
    """44 are left: those of 80 classes under permutation that are 0 where all inputs are."""
    tables = np.arange(256, dtype=np.uint64)
    fanins = np.tile(np.array([[1, 2, 3]], np.int32), (256, 1))
    literals = 2 * (4 + np.arange(256, dtype=np.int32)) + (np.arange(256, dtype=np.int32) // 3) % 2
    netlist = Netlist(inputs=3, fanins=fanins, tables=tables, outputs=literals)
    x = np.array([[i >> j & 1 for j in range(3)] for i in range(8)], np.uint8)
    listing = listing_of(netlist)
    np.testing.assert_array_equal(interpreted(listing, x), evaluate(netlist, x))
    assert len(listing.tables) == len(set(listing.tables.tolist())) <= 44


def test_slots_are_used_again():
    """A long chain needs few of them."""
    count = 1000
    fanins = np.stack([np.arange(count) + 1, np.ones(count)], 1).astype(np.int32)
    tables = np.full(count, 0b0110, np.uint64)
    netlist = Netlist(inputs=1, fanins=fanins, tables=tables, outputs=np.array([2 * (count + 1)], np.int32))
    listing = listing_of(netlist)
    assert len(listing.operands) == count and listing.slots <= 4
    x = np.array([[0], [1]], np.uint8)
    np.testing.assert_array_equal(interpreted(listing, x), evaluate(netlist, x))


def test_outputs_that_are_no_gates_and_gates_that_nothing_reads():
    fanins = np.array([[1, 2], [3, 3], [0, 0]], np.int32)
    tables = np.array([0b1000, 0b0110, 0b0001], np.uint64)
    outputs = np.array([0, 1, 2, 5, 6, 7, 10, 11, 4, 4], np.int32)
    netlist = Netlist(inputs=2, fanins=fanins, tables=tables, outputs=outputs)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 2]], np.uint8)
    listing = listing_of(netlist)
    np.testing.assert_array_equal(interpreted(listing, x), evaluate(netlist, x))
    assert len(listing.operands) == 2
    bare = Netlist(inputs=2, fanins=fanins[:0], tables=tables[:0], outputs=outputs[:4])
    np.testing.assert_array_equal(interpreted(listing_of(bare), x), evaluate(bare, x))


def test_the_steps_alone():
    rng = np.random.default_rng(0)
    netlist = network(rng, 9, (30, 20), 5)
    x = rng.integers(0, 2, (50, 9)).astype(np.uint8)
    for step in (narrowed, needed):
        np.testing.assert_array_equal(evaluate(step(netlist), x), evaluate(netlist, x))
    assert narrowed(netlist).k == 3 and needed(netlist).gates < netlist.gates
