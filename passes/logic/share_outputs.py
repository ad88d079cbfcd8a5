"""Equal bits are counted once: what the sums count becomes the distinct nodes behind the outputs."""

from __future__ import annotations

import numpy as np

from edgegate.logic import GroupSum, Netlist


def share_outputs(netlist: Netlist, sums: GroupSum) -> tuple[Netlist, GroupSum]:
    """Count nodes instead of outputs.

    A constant goes into the offset; equal bits of one group become one bit of the summed weight; an inverted bit is
    one minus the bit: its weight is negative, and goes into the offset too. Terms that cancel are gone.

    Returns:
        ``netlist`` with the counted nodes as outputs, each once, rising and not inverted, and the sums over these.
        Gates that are not counted stay.

    Raises:
        ValueError: A weight or an offset leaves int32.
    """
    literals = netlist.outputs[sums.member].astype(np.int64)
    node, inverted = literals >> 1, (literals & 1).astype(bool)
    weight = sums.weight.astype(np.int64)
    offset = sums.offset.astype(np.int64)
    np.add.at(offset, sums.group[inverted], weight[inverted])
    places = netlist.first + netlist.gates
    keys, term = np.unique(sums.group * np.int64(places) + node, return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, term, np.where(inverted, -weight, weight))
    if max(np.abs(total).max(initial=0), np.abs(offset).max(initial=0)) >= 1 << 31:
        raise ValueError("a weight or an offset does not fit int32 once equal bits are counted once")
    kept = (total != 0) & (keys % places != 0)
    nodes, member = np.unique(keys[kept] % places, return_inverse=True)
    counted = Netlist(
        inputs=netlist.inputs,
        fanins=netlist.fanins,
        tables=netlist.tables,
        outputs=(2 * nodes).astype(np.int32),
    )
    return counted, GroupSum(
        bits=len(nodes),
        group=(keys[kept] // places).astype(np.int32),
        member=member.astype(np.int32),
        weight=total[kept].astype(np.int32),
        offset=offset.astype(np.int32),
    )
