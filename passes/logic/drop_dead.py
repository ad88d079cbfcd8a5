"""Gates that no output depends on go."""

from __future__ import annotations

import numpy as np

from edgegate.logic import Netlist


def drop_dead(netlist: Netlist) -> Netlist:
    """The gates that outputs depend on, in their order."""
    live = bytearray(netlist.first + netlist.gates)
    for o in (netlist.outputs >> 1).tolist():
        live[o] = 1
    rows = netlist.fanins.tolist()
    for i in range(netlist.gates - 1, -1, -1):
        if live[netlist.first + i]:
            for f in rows[i]:
                live[f] = 1
    kept = np.flatnonzero(np.frombuffer(live, np.uint8)[netlist.first :])
    renamed = np.arange(netlist.first + netlist.gates, dtype=np.int32)
    renamed[netlist.first + kept] = netlist.first + np.arange(len(kept), dtype=np.int32)
    outputs = 2 * renamed[netlist.outputs >> 1] + (netlist.outputs & 1)
    return Netlist(
        inputs=netlist.inputs,
        fanins=renamed[netlist.fanins[kept]],
        tables=netlist.tables[kept],
        outputs=outputs,
    )
