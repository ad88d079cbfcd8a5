"""What a netlist is made of, for reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgegate.logic import Netlist
from edgegate.passes.logic.live import far_reads, live_set


def statistics(netlist: Netlist) -> dict[str, Any]:
    """Sizes of a netlist.

    Returns:
        ``inputs``, ``outputs``, ``gates``, ``depth``; ``widths``: how many gates read 0, 1, ... k nodes;
        ``live_set`` and ``far_reads`` of its order of gates.
    """
    widths = np.bincount((netlist.fanins > 0).sum(1), minlength=netlist.k + 1)
    return {
        "inputs": netlist.inputs,
        "outputs": len(netlist.outputs),
        "gates": netlist.gates,
        "depth": netlist.depth,
        "widths": widths.tolist(),
        "live_set": live_set(netlist),
        "far_reads": far_reads(netlist),
    }
