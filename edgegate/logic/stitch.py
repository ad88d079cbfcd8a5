"""One netlist out of several that read each other, while it grows."""

from __future__ import annotations

from math import prod

import numpy as np

from edgegate.logic.netlist import WIDEST, Array, Netlist

LOW = tuple(np.uint64(sum(1 << a for a in range(64) if not a >> j & 1)) for j in range(WIDEST))
"""The table entries at whose addresses bit ``j`` is 0."""


class Stitch:
    """Nodes numbered as they come, inputs among gates; node 0 is false. Literals are int64.

    Args:
        inputs: How many inputs there are from the beginning: nodes 1 to ``inputs``.
    """

    def __init__(self, inputs: int = 0) -> None:
        self._count = 1
        self._given: dict[int, int] = {}
        self._blocks: list[tuple[int, Array, Array]] = []
        if inputs:
            self.input(inputs)

    def input(self, size: int) -> Array:
        """The literals of new inputs."""
        self._given[self._count] = size
        return 2 * self._new(size)

    def add(self, netlist: Netlist, literals: Array) -> Array:
        """A copy of ``netlist`` for each row of literals.

        Args:
            netlist: What to add.
            literals: [..., inputs of ``netlist``]: what its inputs are.

        Returns:
            [..., O]: the literals of its outputs.
        """
        rows = literals.reshape(-1, netlist.inputs)
        copies, gates = len(rows), netlist.gates
        own = 2 * self._new(copies * gates).reshape(copies, gates)
        known = np.concatenate([np.zeros((copies, 1), np.int64), rows, own], 1)
        self._append(int(own[0, 0]) >> 1 if own.size else self._count, known[:, netlist.fanins], netlist.tables)
        found = known[:, netlist.outputs >> 1] ^ (netlist.outputs & 1)
        return np.asarray(found.reshape(*literals.shape[:-1], len(netlist.outputs)))

    def any(self, literals: Array) -> Array:
        """Whether one of the literals along the last axis is true: gates of up to six inputs, in as many levels."""
        while literals.shape[-1] > 1:
            count = literals.shape[-1]
            k = min(count, WIDEST)
            groups, lead = -(-count // k), literals.shape[:-1]
            padded = np.concatenate([literals, np.zeros((*lead, groups * k - count), np.int64)], -1)
            own = self._new(prod(lead) * groups)
            self._append(int(own[0]), padded.reshape(-1, k), np.array((1 << (1 << k)) - 2, np.uint64))
            literals = 2 * own.reshape(*lead, groups)
        return literals[..., 0]

    def all(self, literals: Array) -> Array:
        """Whether all literals along the last axis are true."""
        return np.asarray(self.any(literals ^ 1) ^ 1)

    def read(self, outputs: Array) -> Array:
        """Bool [nodes]: which nodes gates or ``outputs``, literals, read."""
        found = np.zeros(self._count, np.bool_)
        for nodes in (outputs >> 1, *(fanins for _, fanins, _ in self._blocks)):
            found[nodes] = True
        return found

    def netlist(self, outputs: Array, *, without: frozenset[int] = frozenset()) -> Netlist:
        """All gates as one netlist, its inputs in the order in which they came.

        Args:
            outputs: Literals.
            without: First nodes of inputs that nothing reads, to be left out.
        """
        given = {start: size for start, size in self._given.items() if start not in without}
        final, after = np.zeros(self._count, np.int64), 1
        for start, size in (*given.items(), *((start, len(tables)) for start, _, tables in self._blocks)):
            final[start : start + size] = after + np.arange(size)
            after += size
        k = max((fanins.shape[1] for _, fanins, _ in self._blocks), default=1)
        wired = [np.pad(final[f], ((0, 0), (0, k - f.shape[1]))) for _, f, _ in self._blocks]
        tables = [_widened(t, f.shape[1], k) for _, f, t in self._blocks]
        return Netlist(
            inputs=sum(given.values()),
            fanins=np.concatenate([np.zeros((0, k), np.int64), *wired]).astype(np.int32),
            tables=np.concatenate([np.zeros(0, np.uint64), *tables]),
            outputs=(2 * final[outputs >> 1] + (outputs & 1)).astype(np.int32),
        )

    def _new(self, count: int) -> Array:
        self._count += count
        return np.arange(self._count - count, self._count, dtype=np.int64)

    def _append(self, start: int, literals: Array, tables: Array) -> None:
        """Gates from node ``start`` on that read ``literals`` [..., k]: an inverted one changes the table."""
        fanins = literals.reshape(-1, literals.shape[-1])
        tables = np.broadcast_to(tables, literals.shape[:-1]).reshape(-1)
        for j in range(fanins.shape[1]):
            step, low = np.uint64(1 << j), LOW[j]
            swapped = (tables >> step & low) | (tables & low) << step
            tables = np.where(fanins[:, j] & 1, swapped, tables)
        self._blocks.append((start, fanins >> 1, tables))


def _widened(tables: Array, k: int, wide: int) -> Array:
    """Tables of ``k`` inputs as tables of ``wide``, which ignore the inputs above."""
    for j in range(k, wide):
        tables = tables | tables << np.uint64(1 << j)
    return tables
