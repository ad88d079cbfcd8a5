"""Structural hashing: constants, wires and inverters go into the gates that read them, equal gates become one."""

from __future__ import annotations

from edgegate.logic import Netlist
from edgegate.passes.logic._build import Builder


def share_gates(netlist: Netlist) -> Netlist:
    """Read every gate once, front to back, and build only what is new.

    Afterwards no gate is constant, a wire or an inverter, reads a constant, reads a node twice or one that it does
    not depend on; fanins rise; every table is 0 at address 0; no two gates are alike. Inverters are left at the
    outputs only. Gates that nothing reads stay: see ``drop_dead``.

    Source:
        Kuehlmann et al., Robust Boolean Reasoning for Equivalence Checking and Functional Property Verification,
        IEEE TCAD 21(12), 2002, section III: hashing with inverted edges; here over tables of any width.
    """
    made = Builder(netlist.inputs)
    literals = list(range(0, 2 * netlist.first, 2))
    for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        literals.append(made.gate([literals[f] for f in row], table))
    return made.netlist(netlist.k, [literals[o >> 1] ^ (o & 1) for o in netlist.outputs.tolist()])
