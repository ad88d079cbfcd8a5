"""Passes over netlists, in the order they run in ``optimise``. Each is one file, a netlist in and a netlist out.

To make code: ``optimise``, then ``schedule``, then ``carry_save``, which keeps the order.
"""

from edgegate.passes.logic.carry_save import Planes, carry_save
from edgegate.passes.logic.decompose import decompose
from edgegate.passes.logic.drop_dead import drop_dead
from edgegate.passes.logic.eliminate import eliminate
from edgegate.passes.logic.light import light
from edgegate.passes.logic.live import far_reads, live_set
from edgegate.passes.logic.optimise import Optimised, optimise
from edgegate.passes.logic.schedule import schedule
from edgegate.passes.logic.share_gates import share_gates
from edgegate.passes.logic.share_outputs import share_outputs
from edgegate.passes.logic.statistics import statistics

__all__ = [
    "Optimised",
    "Planes",
    "carry_save",
    "decompose",
    "drop_dead",
    "eliminate",
    "far_reads",
    "light",
    "live_set",
    "optimise",
    "schedule",
    "share_gates",
    "share_outputs",
    "statistics",
]
