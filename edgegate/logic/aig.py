"""Look-up tables as AND gates and inverters, with nothing shared and nothing optimised between gates.

Each table has one form, found alone: constants and unused inputs go, then AND, OR and XOR with an input are taken
where they fit, and else Shannon's expansion f = x f1 + x' f0 about the input that costs least. The forms are checked
against the tables by the tests, all 2**16 of four inputs; equal tables have equal forms.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgegate.logic.netlist import WIDEST, Array, Netlist

VARIABLES = tuple(sum(1 << i for i in range(64) if i >> j & 1) for j in range(WIDEST))
"""Table of each input alone, in 64 bits."""
EVERY = (1 << 64) - 1

Form = tuple[tuple[tuple[int, int], ...], int]
"""AND gates and the output literal. Literals 0 and 1 are constants, 2 + 2j input j, and 2 + 2 (6 + i) gate i."""


def to_aig(netlist: Netlist) -> tuple[int, Array, Array]:
    """The same network as an AND-inverter graph, gate by gate.

    Returns:
        The number of inputs; the ANDs, int32 [A, 2]: the literals that each reads, of nodes before its own, where
        node ``1 + inputs + a`` is AND ``a``; and the outputs, int32 [O], literals. Wires, inverters and constants
        take no AND.
    """
    literals = [2 * node for node in range(netlist.first)]
    ands: list[tuple[int, int]] = []
    node = netlist.first
    for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
        gates, output = form(table, netlist.k)
        local = [0, *(literals[f] for f in row), *(0,) * (WIDEST - netlist.k)]
        for a, b in gates:
            ands.append((local[a >> 1] ^ a & 1, local[b >> 1] ^ b & 1))
            local.append(2 * node)
            node += 1
        literals.append(local[output >> 1] ^ output & 1)
    if 2 * node >= 1 << 31:
        raise ValueError(f"{node} nodes: literals of 31 bits end before")
    places = np.array(literals, np.int32)
    outputs = places[netlist.outputs >> 1] ^ (netlist.outputs & 1)
    return netlist.inputs, np.array(ands, np.int32).reshape(-1, 2), outputs


@lru_cache(1 << 16)
def form(table: int, k: int) -> Form:
    """The AND gates that compute a table of ``k`` inputs."""
    ands: list[tuple[int, int]] = []
    known: dict[int, int] = {}
    output = _build(widen(table, k), ands, known)
    return tuple(ands), output


def widen(table: int, k: int, to: int = WIDEST) -> int:
    """The table of ``k`` inputs as one of ``to`` inputs, the further ones ignored."""
    for j in range(k, to):
        table |= table << (1 << j)
    return table


def cofactors(table: int, j: int) -> tuple[int, int]:
    """A table of 64 bits with input ``j`` false and with it true."""
    step, mask = 1 << j, VARIABLES[j]
    low, high = table & ~mask & EVERY, table & mask
    return low | low << step, high | high >> step


def support(table: int) -> list[int]:
    """The inputs that a table of 64 bits depends on."""
    return [j for j in range(WIDEST) if (table ^ table >> (1 << j)) & ~VARIABLES[j] & EVERY]


def _build(table: int, ands: list[tuple[int, int]], known: dict[int, int]) -> int:
    """The literal of a table of 64 bits; gates that it needs are added to ``ands``, all within one form."""
    if table == 0:
        return 0
    if table & 1:  # one polarity only, so that a table and its complement are one
        return _build(table ^ EVERY, ands, known) ^ 1
    if table not in known:
        known[table] = _gate(table, ands, known)
    return known[table]


def _gate(table: int, ands: list[tuple[int, int]], known: dict[int, int]) -> int:
    _, j = _cost(table)
    low, high = cofactors(table, j)
    x = 2 + 2 * j

    def land(a: int, b: int) -> int:
        ands.append((a, b))
        return 2 + 2 * (WIDEST + len(ands) - 1)

    if low == 0:  # never EVERY: bit 0 of the table is 0
        return x if high == EVERY else land(x, _build(high, ands, known))
    if high in (0, EVERY):
        other = _build(low, ands, known)
        return land(x ^ 1, other) if high == 0 else land(x ^ 1, other ^ 1) ^ 1
    first = _build(high, ands, known)
    second = first ^ 1 if low ^ high == EVERY else _build(low, ands, known)
    return land(land(x, first) ^ 1, land(x ^ 1, second) ^ 1) ^ 1


@lru_cache(1 << 16)
def _cost(table: int) -> tuple[int, int]:
    """The number of ANDs that a table of 64 bits takes, and the input to expand it about."""
    if table & 1:
        return _cost(table ^ EVERY)
    best = (1 << 20, 0)
    for j in support(table):
        low, high = cofactors(table, j)
        best = min(best, (_split_cost(low, high), j))
    return best if best[0] < 1 << 20 else (0, 0)


def _split_cost(low: int, high: int) -> int:
    constants = {low, high} & {0, EVERY}
    if len(constants) == 2:
        return 0
    if constants:
        return 1 + _cost((({low, high} - constants) or {0}).pop())[0]
    return 3 + _cost(high)[0] + (0 if low ^ high == EVERY else _cost(low)[0])
