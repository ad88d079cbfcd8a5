"""Passes over netlists, in the order they run in ``optimise``. Each is one file, a netlist in and a netlist out."""

from edgegate.passes.logic.carry_save import Planes, carry_save
from edgegate.passes.logic.decompose import decompose
from edgegate.passes.logic.drop_dead import drop_dead
from edgegate.passes.logic.eliminate import eliminate
from edgegate.passes.logic.optimise import Optimised, optimise
from edgegate.passes.logic.share_gates import share_gates
from edgegate.passes.logic.share_outputs import share_outputs

__all__ = [
    "Optimised",
    "Planes",
    "carry_save",
    "decompose",
    "drop_dead",
    "eliminate",
    "optimise",
    "share_gates",
    "share_outputs",
]
