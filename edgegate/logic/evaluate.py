"""The definition of right for netlists: numpy, level by level, one byte a bit.

Deliberately unlike every back end: nothing is packed, nothing is simplified, tables are read by address.
"""

from __future__ import annotations

import numpy as np

from edgegate.logic.netlist import Array, GroupSum, Netlist

ROWS = 512
"""Samples that are computed at a time: the values of all nodes are in memory."""


def evaluate(netlist: Netlist, bits: Array) -> Array:
    """The outputs of ``netlist``.

    Args:
        netlist: What to compute.
        bits: bool or integers [N, inputs]; whatever is not 0 is true.

    Returns:
        uint8 [N, O], of 0 and 1.

    Raises:
        ValueError: ``bits`` has another shape.
    """
    if bits.ndim != 2 or bits.shape[1] != netlist.inputs:
        raise ValueError(f"expected bits of shape [N, {netlist.inputs}], got {list(bits.shape)}")
    parts = [_evaluate(netlist, bits[start : start + ROWS]) for start in range(0, len(bits), ROWS)]
    return np.concatenate(parts) if parts else np.zeros((0, len(netlist.outputs)), np.uint8)


def _evaluate(netlist: Netlist, bits: Array) -> Array:
    values = np.zeros((netlist.first + netlist.gates, len(bits)), np.uint8)
    values[1 : netlist.first] = (bits != 0).T
    levels = netlist.levels[netlist.first :]
    order = np.argsort(levels, kind="stable")
    for gates in np.split(order, np.flatnonzero(np.diff(levels[order])) + 1):
        address = np.zeros((len(gates), len(bits)), np.uint8)
        for j in range(netlist.k):
            address |= values[netlist.fanins[gates, j]] << np.uint8(j)
        values[netlist.first + gates] = lookup(netlist.tables[gates], address)
    return (values[netlist.outputs >> 1] ^ (netlist.outputs & 1).astype(np.uint8)[:, None]).T.copy()


def lookup(tables: Array, address: Array) -> Array:
    """The bits of ``tables`` (uint64 [G]) at ``address`` (uint8 [G, N]), as uint8 [G, N]."""
    places = np.arange(1 << max(int(address.max(initial=0)).bit_length(), 1), dtype=np.uint64)
    entries = (tables[:, None] >> places & np.uint64(1)).astype(np.uint8)
    return np.take_along_axis(entries, address.astype(np.intp), 1)


def counts(sums: GroupSum, bits: Array) -> Array:
    """The sums of bits: int32 [N, K] from ``bits`` [N, bits] of 0 and 1."""
    total = np.tile(sums.offset.astype(np.int64), (len(bits), 1))
    for k in range(sums.groups):
        low, high = np.searchsorted(sums.group, [k, k + 1])
        total[:, k] += bits[:, sums.member[low:high]].astype(np.int64) @ sums.weight[low:high].astype(np.int64)
    return total.astype(np.int32)
