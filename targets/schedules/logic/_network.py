"""What a group computes, as a netlist in the form and the order that code is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgegate.logic import GroupSum, Netlist
from edgegate.ops.group_sum import sums_of
from edgegate.ops.logic import netlist_of
from edgegate.passes.logic import carry_save, decompose, drop_dead, schedule, share_gates
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Unsupported


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A netlist, and the sums of its outputs.

    Attributes:
        netlist: In the normal form of ``share_gates``, in the order of computation.
        sums: Powers of two of its outputs; None: the outputs themselves are wanted.
    """

    netlist: Netlist
    sums: GroupSum | None


def network_of(group: Group, width: int) -> Network:
    """The network of a Logic node, a GroupSum node, or one behind the other, of gates of at most ``width`` inputs.

    Raises:
        Unsupported: The group is anything else, or its sums do not fit int32.
    """
    first, *rest = group.nodes
    kinds = [node.op_type for node in group.nodes]
    if kinds == ["Logic"]:
        return network(netlist_of(first), None, width)
    if kinds == ["Logic", "GroupSum"]:
        return network(netlist_of(first), sums_of(rest[0]), width)
    if kinds == ["GroupSum"]:
        sums = sums_of(first)
        return network(_wires(sums.bits), sums, width)
    raise Unsupported("not logic alone")


def network(netlist: Netlist, sums: GroupSum | None, width: int) -> Network:
    """The same function as gates of at most ``width`` inputs, adders among them."""
    narrow = netlist if netlist.k == width else decompose(share_gates(netlist), width)
    ordered = schedule(drop_dead(share_gates(narrow)))
    if sums is None:
        return Network(netlist=ordered, sums=None)
    try:
        planes = carry_save(ordered, sums)
    except ValueError as e:
        raise Unsupported(str(e)) from e
    count = len(planes.group)
    powers = GroupSum(
        bits=count, group=planes.group, member=np.arange(count, dtype=np.int32),
        weight=np.int32(1) << planes.shift, offset=planes.offset,
    )  # fmt: skip
    return Network(netlist=planes.netlist, sums=powers)


def _wires(bits: int) -> Netlist:
    outputs = 2 * np.arange(1, bits + 1, dtype=np.int32)
    return Netlist(inputs=bits, fanins=np.zeros((0, 2), np.int32), tables=np.zeros(0, np.uint64), outputs=outputs)
