"""Netlists made small: the passes in the order they run."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgegate.logic import GroupSum, Netlist
from edgegate.logic.netlist import Array
from edgegate.passes.logic._no_gc import no_gc
from edgegate.passes.logic.decompose import decompose
from edgegate.passes.logic.drop_dead import drop_dead
from edgegate.passes.logic.eliminate import ROUNDS, eliminate
from edgegate.passes.logic.light import light
from edgegate.passes.logic.share_gates import share_gates
from edgegate.passes.logic.share_outputs import share_outputs

ROUNDS_A_SECOND = 150_000
"""Rounds of search that a core does in a second, about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Optimised:
    """A smaller netlist, and how it computes what the imported one did.

    Attributes:
        netlist: Gates of at most ``k`` inputs.
        sums: The sums over its outputs, if there were any.
        claims: int32 [O]: for every output of the imported netlist the literal of ``netlist`` that it equals.
    """

    netlist: Netlist
    sums: GroupSum | None
    claims: Array = field(repr=False)


@no_gc()
def optimise(netlist: Netlist, sums: GroupSum | None = None, *, k: int = 3, spend: float | None = None) -> Optimised:
    """Make a netlist small.

    Args:
        netlist: Gates of any width.
        sums: What its outputs are counted in. Then the outputs of the result are the nodes that are counted: no
            constants, no node twice, none inverted. Without sums outputs stay one for one.
        k: Most inputs of a gate: 3 for processors with an instruction for any function of three bits, 2 for the
            others, 4 or 6 for FPGAs.
        spend: Seconds to search for a better cover, about: work is counted, not timed, so the result is always the
            same. None is what pays, about 30 us for each gate.

    Returns:
        The result, every claim in which is kept: also outputs that no sum counts are computed.

    Raises:
        ValueError: ``k`` is not in 2..6, or the sums are of another number of bits.
    """
    if not 2 <= k <= 6:
        raise ValueError(f"gates have 2 to 6 inputs, not k = {k}")
    if sums is not None and sums.bits != len(netlist.outputs):
        raise ValueError(f"sums of {sums.bits} bits do not count the {len(netlist.outputs)} outputs of the netlist")
    small = share_gates(netlist)
    small = decompose(small, k)
    small = drop_dead(small)
    small = eliminate(small, k, _light(small, sums, k), _rounds(small, spend))
    small = share_gates(small)
    small = drop_dead(small)
    claims = small.outputs
    if sums is not None:
        small, sums = share_outputs(small, sums)
    return Optimised(netlist=small, sums=sums, claims=claims)


def _light(netlist: Netlist, sums: GroupSum | None, k: int) -> set[int]:
    """Outputs that are worth half a gate while they have an input to spare: those that ``carry_save`` never makes."""
    return set() if sums is None or k not in (3, 4) else light(*share_outputs(netlist, sums))


def _rounds(netlist: Netlist, spend: float | None) -> int:
    """Rounds of search for each gate."""
    return ROUNDS if spend is None else int(spend * ROUNDS_A_SECOND) // max(netlist.gates, 1)
