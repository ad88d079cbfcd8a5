"""The definition itself, against one written out sample by sample."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist, counts, evaluate


def plain(netlist: Netlist, row: list[int]) -> list[int]:
    """One sample, gate by gate."""
    node = [0, *(int(bool(bit)) for bit in row)]
    for fanins, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        address = sum(node[f] << j for j, f in enumerate(fanins))
        node.append(table >> address & 1)
    return [node[literal >> 1] ^ (literal & 1) for literal in netlist.outputs.tolist()]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 30))
def test_every_gate(seed: int, k: int, gates: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = 5
    fanins = (rng.random((gates, k)) * (1 + inputs + np.arange(gates)[:, None])).astype(np.int32)
    tables = rng.integers(0, 1 << 63, gates, dtype=np.uint64) * np.uint64(2) >> np.uint64(64 - (1 << k))
    outputs = rng.integers(0, 2 * (1 + inputs + gates), 7).astype(np.int32)
    netlist = Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=outputs)
    rows = rng.choice([0, 1, 255], (4, inputs)).astype(np.uint8)
    assert evaluate(netlist, rows).tolist() == [plain(netlist, row) for row in rows.tolist()]
    ordered = netlist.by_level()
    assert (np.diff(ordered.levels[ordered.first :]) >= 0).all()
    np.testing.assert_array_equal(evaluate(ordered, rows), evaluate(netlist, rows))


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1025])
def test_any_number_of_samples(count: int) -> None:
    xor = Netlist(
        inputs=2, fanins=np.array([[1, 2]], np.int32), tables=np.array([6], np.uint64), outputs=np.array([6], np.int32)
    )
    rows = np.random.default_rng(count).integers(0, 2, (count, 2)).astype(np.bool_)
    np.testing.assert_array_equal(evaluate(xor, rows)[:, 0], rows[:, 0] ^ rows[:, 1])


def test_sums_have_weights_and_offsets() -> None:
    def ints(*values: int) -> np.ndarray:
        return np.array(values, np.int32)

    sums = GroupSum(bits=3, group=ints(0, 0, 2), member=ints(0, 2, 1), weight=ints(5, -1, 2), offset=ints(10, 7, -1))
    np.testing.assert_array_equal(counts(sums, np.array([[1, 1, 1], [0, 0, 1]])), [[14, 7, 1], [9, 7, -1]])
    assert [bound.tolist() for bound in sums.bounds()] == [[9, 7, -1], [15, 7, 1]]


@pytest.mark.parametrize(("bits", "groups", "sizes"), [(6, 3, [2, 2, 2]), (7, 3, [3, 3, 1]), (2, 4, [1, 1])])
def test_plain_groups(bits: int, groups: int, sizes: list[int]) -> None:
    sums = GroupSum.contiguous(bits, groups)
    assert np.bincount(sums.group).tolist() == sizes and sums.groups == groups


ONE: dict[str, Any] = {"inputs": 1, "fanins": np.array([[1]], np.int32), "tables": np.array([2], np.uint64)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fanins": np.array([[2]], np.int32)}, "gate 0 reads"),
        ({"fanins": np.array([[1]])}, "int32"),
        ({"fanins": np.zeros((1, 7), np.int32)}, "1 to 6 inputs"),
        ({"tables": np.array([4], np.uint64)}, "has 2 bits"),
        ({"outputs": np.array([6], np.int32)}, "a node that exists"),
        ({"outputs": np.array([-1], np.int32)}, "a node that exists"),
    ],
)
def test_no_netlist(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Netlist(**{**ONE, "outputs": np.array([4], np.int32), **wrong})
