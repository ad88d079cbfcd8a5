"""Tables as AND gates: every function of four inputs, and wide ones at random."""

import numpy as np
import pytest

from edgegate.logic import evaluate
from edgegate.logic.aig import VARIABLES, form, to_aig
from tests.logic.circuits import every, net, tables_of


def as_netlist(graph):
    inputs, ands, outputs = graph
    address = 3 - (ands[:, 0] & 1) - 2 * (ands[:, 1] & 1)
    return net(inputs, ands >> 1, 1 << address, outputs)


def value(shape, k):
    """The table of a form, from its gates alone."""
    every_bit = (1 << (1 << k)) - 1
    known = [0, *(VARIABLES[j] & every_bit if j < k else 0 for j in range(6))]
    for a, b in shape[0]:
        left, right = (known[x >> 1] ^ (every_bit if x & 1 else 0) for x in (a, b))
        known.append(left & right)
    return known[shape[1] >> 1] ^ (every_bit if shape[1] & 1 else 0)


def test_every_function_of_four_inputs():
    assert all(value(form(table, 4), 4) == table for table in range(0, 1 << 16, 2))  # the others are their complements
    assert all(value(form(table, 3), 3) == table for table in range(1 << 8))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
def test_gates_at_random(k):
    netlist = tables_of(np.random.default_rng(k), 7, 200, k, 100)
    inputs, ands, outputs = to_aig(netlist)
    assert (ands >> 1 < (inputs + 1 + np.arange(len(ands)))[:, None]).all() and ands.dtype == outputs.dtype == np.int32
    assert (evaluate(as_netlist((inputs, ands, outputs)), every(7)) == evaluate(netlist, every(7))).all()


@pytest.mark.parametrize(
    ("table", "k", "ands"),
    [(0, 2, 0), (15, 2, 0), (0b10, 1, 0), (0b01, 1, 0), (0b1100, 2, 0), (0b1000, 2, 1), (0b1110, 2, 1), (0b0110, 2, 3),
     (0xCA, 3, 3), (0x96, 3, 6), (0x80, 3, 2), (1 << 63, 6, 5), (0x6996966996696996, 6, 15)],
)  # fmt: skip
def test_forms_are_small(table, k, ands):
    assert len(form(table, k)[0]) == ands


def test_nothing_is_shared_between_gates():
    _, ands, outputs = to_aig(net(2, [[1, 2], [1, 2]], [8, 8], [6, 8]))
    assert ands.tolist() == [[2, 4], [2, 4]] or ands.tolist() == [[4, 2], [4, 2]]
    assert outputs.tolist() == [6, 8]
