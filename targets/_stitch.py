"""One netlist out of several that read each other."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array
from edgegate.logic import Netlist


def widened(tables: Array, k: int, to: int) -> Array:
    """uint64 tables of ``k`` inputs as tables of ``to`` inputs that ignore the new ones."""
    for j in range(k, to):
        tables = tables | tables << np.uint64(1 << j)
    return tables


def inverted_input(tables: Array, j: int) -> Array:
    """uint64 tables that read the inverse of input ``j`` and give what ``tables`` did."""
    half = np.uint64(1 << j)
    clear = np.uint64(sum(1 << i for i in range(64) if not i >> j & 1))
    return (tables & clear) << half | tables >> half & clear


class Stitch:
    """A netlist that grows by whole netlists.

    Args:
        inputs: Number of its inputs.
    """

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self._next = 1 + inputs
        self._parts: list[tuple[Array, Array]] = []

    def add(self, netlist: Netlist, literals: Array) -> Array:
        """Add the gates of ``netlist``.

        Args:
            netlist: What to add.
            literals: int64 [inputs of ``netlist``]: what its inputs are.

        Returns:
            int64 [O]: the literals of its outputs.
        """
        given = np.concatenate([np.zeros(1, np.int64), literals])
        gates = 2 * np.arange(self._next, self._next + netlist.gates, dtype=np.int64)
        literal = np.concatenate([given, gates])
        read = literal[netlist.fanins]
        tables = netlist.tables
        for j in range(netlist.k):
            tables = np.where(read[:, j] & 1, inverted_input(tables, j), tables)
        self._parts.append(((read >> 1).astype(np.int32), _cut(tables, netlist.k)))
        self._next += netlist.gates
        return literal[netlist.outputs >> 1] ^ (netlist.outputs & 1)

    def netlist(self, outputs: Array) -> Netlist:
        """All gates as one netlist with these outputs, int64 literals."""
        k = max((fanins.shape[1] for fanins, _ in self._parts), default=1)
        fanins, tables = [np.zeros((0, k), np.int32)], [np.zeros(0, np.uint64)]
        for part, made in self._parts:
            fanins.append(np.pad(part, ((0, 0), (0, k - part.shape[1]))))
            tables.append(widened(made, part.shape[1], k))
        joined = np.concatenate(fanins), np.concatenate(tables)
        return Netlist(inputs=self.inputs, fanins=joined[0], tables=joined[1], outputs=outputs.astype(np.int32))


def _cut(tables: Array, k: int) -> Array:
    """The tables without bits beyond their last address."""
    return tables & np.uint64((1 << (1 << k)) - 1)
