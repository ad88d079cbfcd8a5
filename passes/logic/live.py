"""What an order of gates costs in memory: values that wait at a time, and reads of those that were put away."""

from __future__ import annotations

from collections import OrderedDict

from edgegate.logic import Netlist

NEAR = 700
"""Values of 512 bits that a first-level cache of 48 KiB holds, with room for the stack."""


def live_set(netlist: Netlist) -> int:
    """Most gate values that wait to be read at one time, if outputs leave as soon as they are made."""
    return max(_slots(netlist), default=netlist.inputs) - netlist.inputs


def far_reads(netlist: Netlist, near: int = NEAR) -> int:
    """Reads of values that are not among the last ``near`` that were touched.

    Every gate writes its value over the one that went last, if there is one; inputs have places of their own. Places
    are kept and forgotten as by a cache that forgets what was touched least recently.
    """
    slots = list(range(netlist.first)) + _slots(netlist)
    kept: OrderedDict[int, None] = OrderedDict()
    far = 0
    for gate, row in enumerate(netlist.fanins.tolist(), netlist.first):
        for f in dict.fromkeys(row):
            if f:
                far += slots[f] not in kept
                _touch(kept, slots[f], near)
        _touch(kept, slots[gate], near)
    return far


def _touch(kept: OrderedDict[int, None], slot: int, near: int) -> None:
    kept[slot] = None
    kept.move_to_end(slot)
    if len(kept) > near:
        kept.popitem(last=False)


def _slots(netlist: Netlist) -> list[int]:
    """The place of every gate's value, from ``inputs + 1`` up; one that is free is taken again, the last one first."""
    rows = netlist.fanins.tolist()
    last = list(range(netlist.first + netlist.gates))
    for gate, row in enumerate(rows, netlist.first):
        for f in row:
            last[f] = gate
    free: list[int] = []
    slots: list[int] = []
    top = netlist.first
    for gate, row in enumerate(rows, netlist.first):
        free += [slots[f - netlist.first] for f in dict.fromkeys(row) if f >= netlist.first and last[f] == gate]
        if not free:
            free, top = [top], top + 1
        slots.append(free.pop())
        if last[gate] == gate:
            free.append(slots[-1])
    return slots
