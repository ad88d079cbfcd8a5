"""Gates that are wider than allowed are taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from edgegate.logic import Netlist
from edgegate.passes.logic._build import Builder
from edgegate.passes.logic._tables import cofactor, support, without

CHOICE = 0b11001010
"""The table of ``c ? b : a`` over (a, b, c)."""


def decompose(netlist: Netlist, k: int) -> Netlist:
    """Take gates of more than ``k`` inputs apart into gates of at most ``k``.

    Where some inputs reach a gate through one bit only, that bit becomes a gate (Ashenhurst's simple disjoint
    decomposition); else Shannon's expansion halves the table. Parts that are equal are shared across all gates.

    Args:
        netlist: Without gates that read a node twice, or one that they do not depend on (see ``share_gates``).
        k: Most inputs of a gate, at least 2.

    Returns:
        A netlist with ``k`` columns; gates that nothing reads may be left.

    Source:
        Ashenhurst, The Decomposition of Switching Functions, 1957; Shannon, 1949.
    """
    made = Builder(netlist.inputs)
    parts = _Parts(made, k)
    literals = list(range(0, 2 * netlist.first, 2))
    for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        literals.append(parts.gate([literals[f] for f in row], table))
    return made.netlist(k, [literals[o >> 1] ^ (o & 1) for o in netlist.outputs.tolist()])


class _Parts:
    """Takes tables apart, into gates that a builder makes."""

    def __init__(self, made: Builder, k: int) -> None:
        self.made, self.k = made, k

    def gate(self, literals: Sequence[int], table: int) -> int:
        """The literal of ``table`` over ``literals``."""
        kept, table = support(table, len(literals))
        literals = [literals[j] for j in kept]
        if len(literals) <= self.k:
            return self.made.gate(literals, table)
        for size in range(min(self.k, len(literals) - 1), 1, -1):
            for bound in combinations(range(len(literals)), size):
                found = _through_one_bit(table, bound, len(literals))
                if found:
                    return self._through(literals, bound, *found)
        return self._expanded(literals, table)

    def _through(self, literals: list[int], bound: tuple[int, ...], inner: int, low: int, high: int) -> int:
        """``inner(bound) ? high : low``, where ``low`` and ``high`` do not read what is bound."""
        n = len(literals)
        bit = self.made.gate([literals[j] for j in bound], inner)
        for j in reversed(bound):
            low, high, n = without(low, j, n), without(high, j, n), n - 1
        free = [x for j, x in enumerate(literals) if j not in bound]
        return self.gate([*free, bit], low | high << (1 << n))

    def _expanded(self, literals: list[int], table: int) -> int:
        """Shannon's expansion by the input that leaves the least to do."""
        n = len(literals)
        halves = [(cofactor(table, j, 0, n), cofactor(table, j, 1, n)) for j in range(n)]
        j = min(range(n), key=lambda j: sum([1 << len(support(half, n)[0]) for half in halves[j]]))
        low, high = (self.gate(literals, half) for half in halves[j])
        return self._choice(low, high, literals[j])

    def _choice(self, low: int, high: int, which: int) -> int:
        """``which ? high : low``."""
        made = self.made
        if self.k > 2 or len({low >> 1, high >> 1, which >> 1} - {0}) < 3:
            return made.gate([low, high, which], CHOICE)
        both = made.gate([made.gate([low, high], 0b0110), which], 0b1000)
        return made.gate([low, both], 0b0110)


def _through_one_bit(table: int, bound: tuple[int, ...], n: int) -> tuple[int, int, int] | None:
    """Whether ``table`` is ``inner(bound) ? high : low``: then (inner, low, high), all but inner of ``n`` inputs."""
    columns = [table]
    for j in bound:
        columns = [cofactor(column, j, value, n) for value in (0, 1) for column in columns]
    if len(set(columns)) != 2:
        return None
    inner = sum(1 << address for address, column in enumerate(columns) if column != columns[0])
    return inner, columns[0], columns[inner.bit_length() - 1]
