"""A netlist as data for an interpreter: runs of gates with one table, over slots that are used again.

An interpreter of look-up tables is fast if the next gate seldom asks for another operation, and if its bits stay
near. So gates go level by level, those of a level by their tables; the inputs of a gate are sorted so that its table
is the least of its permutations, and a gate that is 1 where all its inputs are 0 is kept inverted: 44 tables are
left of 256. A slot is given to another gate after the level that reads it last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

import numpy as np

from edgegate.logic.netlist import Array, Netlist

WIDTH = 3
"""Inputs of every gate of a listing."""
ENTRIES = 1 << WIDTH
MULTIPLEXER = 0xCA
"""The table of ``second if third else first``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """Gates in the order of their computation.

    Attributes:
        inputs: Number of input bits; bit ``i`` is in slot ``1 + i`` at the start, and slot 0 is false always.
        slots: Number of slots: the most bits that are needed at one time, and those of the level being made.
        operands: int32 [G, 4]: the slots of a gate's three inputs, and the slot that it goes to.
        tables: uint8 [R]: the table of each run.
        starts: int32 [R + 1]: the first gate of each run, and G.
        outputs: int32 [O]: literals, ``2 * slot + inverted``.
    """

    inputs: int
    slots: int
    operands: Array = field(repr=False)
    tables: Array = field(repr=False)
    starts: Array = field(repr=False)
    outputs: Array = field(repr=False)


def listing_of(netlist: Netlist, window: int | None = None) -> Listing:
    """The listing of a netlist; gates that nothing reads are left out.

    Gates of more than three inputs are made of multiplexers first.

    Args:
        netlist: Any.
        window: Sort so many gates at a time, in the order that they have: fewer slots, shorter runs. None: all.
    """
    plain = needed(narrowed(netlist))
    plain, tables, outputs = _normal(plain)
    steps = _steps(plain, window or plain.gates)
    order = np.lexsort((np.arange(plain.gates), tables, steps))
    plain, tables, steps = plain.reordered(order), tables[order], steps[order]
    renamed = np.concatenate([np.arange(plain.first), plain.first + np.argsort(order)])
    outputs = 2 * renamed[outputs >> 1] + (outputs & 1)
    slot, count = _slots(plain, steps, outputs >> 1)
    new_run = np.ones(plain.gates, np.bool_)
    new_run[1:] = (np.diff(steps) > 0) | (np.diff(tables.astype(np.int32)) != 0)
    starts = np.flatnonzero(new_run)
    operands = np.concatenate([slot[plain.fanins], slot[plain.first :, None]], 1)
    return Listing(
        inputs=netlist.inputs, slots=count, operands=operands.astype(np.int32), tables=tables[starts],
        starts=np.append(starts, plain.gates).astype(np.int32),
        outputs=(2 * slot[outputs >> 1] + (outputs & 1)).astype(np.int32),
    )  # fmt: skip


def _steps(netlist: Netlist, window: int) -> Array:
    """int64 [G], from 1 on: gates of a step are of one level and one window, and read earlier steps alone."""
    levels = netlist.levels[netlist.first :].astype(np.int64)
    windows = np.arange(netlist.gates) // max(window, 1)
    return np.unique(windows * (netlist.depth + 1) + levels, return_inverse=True)[1] + 1


def needed(netlist: Netlist) -> Netlist:
    """The netlist without the gates that no output depends on."""
    use = np.zeros(netlist.first + netlist.gates, np.bool_)
    use[netlist.outputs >> 1] = True
    for gates in reversed(list(_levels(netlist.levels[netlist.first :]))):
        use[netlist.fanins[gates[use[netlist.first + gates]]]] = True
    kept = np.flatnonzero(use[netlist.first :])
    name = np.arange(len(use), dtype=np.int32)
    name[netlist.first + kept] = netlist.first + np.arange(len(kept), dtype=np.int32)
    outputs = 2 * name[netlist.outputs >> 1] + (netlist.outputs & 1)
    return Netlist(
        inputs=netlist.inputs, fanins=name[netlist.fanins[kept]], tables=netlist.tables[kept], outputs=outputs
    )


def narrowed(netlist: Netlist) -> Netlist:
    """The same outputs from gates of exactly three inputs: wider ones become a tree of multiplexers (Shannon).

    What a table ignores is node 0.
    """
    k, gates, first = netlist.k, netlist.gates, netlist.first
    if k <= WIDTH:
        fanins, tables = np.pad(netlist.fanins, ((0, 0), (0, WIDTH - k))), netlist.tables
        for j in range(k, WIDTH):
            tables = tables | tables << np.uint64(1 << j)
        return _without_ignored(netlist.inputs, fanins, tables, netlist.outputs)
    leaves = 1 << (k - WIDTH)
    each = 2 * leaves - 1
    name = np.concatenate([np.arange(first), first + each * np.arange(gates) + each - 1]).astype(np.int32)
    read, own = name[netlist.fanins], first + each * np.arange(gates, dtype=np.int32)
    fanins, tables = np.zeros((gates, each, WIDTH), np.int32), np.full((gates, each), MULTIPLEXER, np.uint64)
    for i in range(leaves):
        fanins[:, i], tables[:, i] = read[:, :WIDTH], netlist.tables >> np.uint64(ENTRIES * i) & np.uint64(0xFF)
    at, start, size = leaves, 0, leaves
    for j in range(WIDTH, k):
        for i in range(0, size, 2):
            fanins[:, at] = np.stack([own + start + i, own + start + i + 1, read[:, j]], 1)
            at += 1
        start, size = start + size, size // 2
    outputs = 2 * name[netlist.outputs >> 1] + (netlist.outputs & 1)
    return _without_ignored(netlist.inputs, fanins.reshape(-1, WIDTH), tables.reshape(-1), outputs)


def _without_ignored(inputs: int, fanins: Array, tables: Array, outputs: Array) -> Netlist:
    """The netlist in which no gate reads what its table ignores."""
    read = fanins.copy()
    for j in range(WIDTH):
        clear = np.uint64(sum(1 << i for i in range(ENTRIES) if not i >> j & 1))
        read[(tables >> np.uint64(1 << j) ^ tables) & clear == 0, j] = 0
    return Netlist(inputs=inputs, fanins=read, tables=tables, outputs=outputs)


@cache
def _least() -> tuple[Array, Array]:
    """For every table the least table of its permutations, uint8 [256], and the columns of it, [256, 3]."""
    least, columns = np.full(256, 255, np.uint8), np.tile(np.arange(WIDTH), (256, 1))
    for order in permutations(range(WIDTH)):
        place = [sum((i >> j & 1) << order[j] for j in range(WIDTH)) for i in range(ENTRIES)]
        every = np.arange(256)
        table = np.sum([(every >> place[i] & 1) << i for i in range(ENTRIES)], 0).astype(np.uint8)
        better = table < least
        least[better], columns[better] = table[better], order
    return least, columns


def _normal(netlist: Netlist) -> tuple[Netlist, Array, Array]:
    """The gates with their least tables, uint8 [G], none of which is 1 at address 0, and the outputs' literals."""
    inverted = np.zeros(netlist.first + netlist.gates, np.bool_)
    tables = netlist.tables.astype(np.uint8)
    for gates in _levels(netlist.levels[netlist.first :]):
        made, fanins = tables[gates], netlist.fanins[gates]
        for j in range(WIDTH):
            clear = np.uint8(sum(1 << i for i in range(ENTRIES) if not i >> j & 1))
            turned = (made & clear) << np.uint8(1 << j) | made >> np.uint8(1 << j) & clear
            made = np.where(inverted[fanins[:, j]], turned, made)
        inverted[netlist.first + gates] = made & 1
        tables[gates] = np.where(made & 1, ~made, made)
    least, columns = _least()
    fanins = np.take_along_axis(netlist.fanins, columns[tables], 1)
    outputs = netlist.outputs ^ inverted[netlist.outputs >> 1]
    return (
        Netlist(inputs=netlist.inputs, fanins=fanins, tables=least[tables].astype(np.uint64), outputs=outputs),
        least[tables], outputs,
    )  # fmt: skip


def _levels(levels: Array) -> Iterator[Array]:
    """The gates of each level, from the lowest."""
    order = np.argsort(levels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(levels[order])) + 1) if len(order) else []


def _slots(netlist: Netlist, steps: Array, kept: Array) -> tuple[Array, int]:
    """The slot of every node, and how many there are; ``kept`` are needed to the end."""
    nodes, never = netlist.first + netlist.gates, int(steps.max(initial=0)) + 1
    last = np.zeros(nodes, np.int64)
    np.maximum.at(last, netlist.fanins.reshape(-1), np.repeat(steps, WIDTH))
    last[kept], last[0] = never, never
    ends = np.argsort(last, kind="stable")
    bounds = np.searchsorted(last[ends], np.arange(never + 1))
    slot, count = np.arange(nodes), netlist.first
    free = np.zeros(0, np.int64)
    for gates in _levels(steps):
        step = int(steps[gates[0]])
        dead = ends[bounds[step - 1] : bounds[step]]
        free = np.sort(np.concatenate([free, slot[dead]]))
        new = max(0, len(gates) - len(free))
        slot[netlist.first + gates] = np.concatenate([free[: len(gates)], count + np.arange(new)])
        free, count = free[len(gates) :], count + new
    return slot, count
