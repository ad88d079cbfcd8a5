"""Sums as nodes to count: nothing weighted, nothing subtracted."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array
from edgegate.logic import GroupSum, Netlist

MOST_TERMS = 1 << 22
"""Most terms of all sums, a term of weight w counted w times."""


def terms_of(netlist: Netlist, sums: GroupSum | None) -> tuple[Netlist, list[list[int]], Array]:
    """Sums as nodes to count, one for each term of weight 1.

    Args:
        netlist: The network.
        sums: Over its outputs.

    Returns:
        The netlist with a gate for the complement of every node that is to be subtracted; by sum, the nodes to count;
        int32 [K]: what to add to the counts.

    Raises:
        ValueError: The weights are so great that there would be more than :data:`MOST_TERMS`.
    """
    if sums is None:
        return netlist, [], np.zeros(0, np.int32)
    if int(np.abs(sums.weight.astype(np.int64)).sum()) > MOST_TERMS:
        raise ValueError(f"the weights of the sums add up to more than {MOST_TERMS}")
    offset = sums.offset.astype(np.int64)
    netlist = _turned(netlist, sums)
    found: list[list[int]] = [[] for _ in range(sums.groups)]
    complements: dict[int, int] = {}
    after = netlist.first + netlist.gates
    for k, member, weight in zip(sums.group.tolist(), sums.member.tolist(), sums.weight.tolist(), strict=True):
        node, inverted = divmod(int(netlist.outputs[member]), 2)
        offset[k] += min(weight, 0)
        flipped = bool(inverted) ^ (weight < 0)
        if not node:
            offset[k] += abs(weight) * flipped
            continue
        counted = complements.setdefault(node, after + len(complements)) if flipped else node
        found[k] += [counted] * abs(weight)
    return _with_complements(netlist, list(complements)), found, offset.astype(np.int32)


def _turned(netlist: Netlist, sums: GroupSum) -> Netlist:
    """The same network, but gates that are only ever subtracted are complemented, and with them how they are read."""
    inverted = (netlist.outputs[sums.member] & 1 == 1) ^ (sums.weight < 0)
    nodes = netlist.outputs[sums.member] >> 1
    turn = np.zeros(netlist.first + netlist.gates, bool)
    turn[nodes[inverted]] = True
    turn[nodes[~inverted]] = False
    turn[: netlist.first] = False
    address = np.arange(1 << netlist.k)
    masks = (turn[netlist.fanins].astype(np.int64) << np.arange(netlist.k)).sum(1)
    bits = netlist.tables[:, None] >> (address[None] ^ masks[:, None]).astype(np.uint64) & np.uint64(1)
    bits ^= turn[netlist.first :, None].astype(np.uint64)
    tables = (bits << address.astype(np.uint64)).sum(1, dtype=np.uint64)
    outputs = netlist.outputs ^ turn[netlist.outputs >> 1].astype(np.int32)
    return Netlist(inputs=netlist.inputs, fanins=netlist.fanins, tables=tables, outputs=outputs)


def _with_complements(netlist: Netlist, nodes: list[int]) -> Netlist:
    """The netlist with gates behind the last that are the complements of ``nodes``: made of what these are made of."""
    k = netlist.k
    whole = np.uint64((1 << (1 << k)) - 1)
    fanins, tables = [], []
    for node in nodes:
        gate = node - netlist.first
        fanins.append(netlist.fanins[gate] if gate >= 0 else np.array([node] + [0] * (k - 1), np.int32))
        tables.append(netlist.tables[gate] ^ whole if gate >= 0 else np.uint64(_REPEATED_NOT & int(whole)))
    if not nodes:
        return netlist
    return Netlist(
        inputs=netlist.inputs, fanins=np.concatenate([netlist.fanins, np.stack(fanins)]),
        tables=np.concatenate([netlist.tables, np.array(tables, np.uint64)]), outputs=netlist.outputs,
    )  # fmt: skip


_REPEATED_NOT = 0x5555555555555555
