"""Netlists with the habits of trained ones: many wires, inverters and constants, some nodes read again and again."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgegate.logic import GroupSum, Netlist
from edgegate.passes.logic import drop_dead, share_gates

TABLES = (0b0000, 0b1111, 0b1010, 0b1100, 0b0101, 0b0011, 0b0110, 0b1001)
"""Tables of two inputs: constants, wires, inverters, and the exclusive or with its inverse."""

SHARES = (0.02, 0.02, 0.1, 0.1, 0.1, 0.1, 0.06, 0.06)
"""How often they stand in a trained net; the rest is of the kind of and."""


def netlist(seed: int, *, inputs=6, gates=40, k=2, outputs=12) -> Netlist:
    """A netlist whose gates read earlier nodes, more often late ones, and have the tables of a trained net."""
    rng = np.random.default_rng(seed)
    own = np.arange(inputs + 1, inputs + 1 + gates)[:, None]
    back = np.minimum(rng.geometric(0.15, (gates, k)), own)
    fanins = np.where(rng.random((gates, k)) < 0.7, own - back, (rng.random((gates, k)) * own).astype(int))
    tables = rng.integers(0, 1 << 63, gates, dtype=np.uint64) << np.uint64(1) | rng.integers(0, 2, gates, np.uint64)
    if k > 1:
        ands = (np.uint64(1) << rng.integers(0, 4, gates).astype(np.uint64)) ^ rng.choice(
            np.array([0, 15], np.uint64), gates
        )
        plain = rng.choice(np.array(TABLES, np.uint64), gates, p=np.array(SHARES) / sum(SHARES))
        two = np.where(rng.random(gates) < sum(SHARES), plain, ands)
        repeat = np.uint64(sum(1 << 4 * i for i in range(1 << k - 2)))
        tables = np.where(rng.random(gates) < (1.0 if k == 2 else 0.5), two * repeat, tables)
    tables &= np.uint64((1 << (1 << k)) - 1)
    literals = (2 * (inputs + gates) + rng.integers(0, 2, outputs) - rng.integers(0, 2 * gates + 1, outputs)).clip(0)
    return Netlist(inputs=inputs, fanins=fanins.astype(np.int32), tables=tables, outputs=literals.astype(np.int32))


def layers(inputs: int, width: int, depth: int) -> Netlist:
    """Layers of gates with random wiring, none of them alike, dead, constant or a wire; the last one is the outputs."""
    rng = np.random.default_rng(0)
    low, size, rows = 1, inputs, []
    for i in range(depth):
        rows.append(np.stack([np.sort(low + rng.choice(size, 2, replace=False)) for _ in range(width)]))
        low, size = inputs + 1 + width * i, width
    fanins = np.concatenate(rows).astype(np.int32)
    tables = rng.choice(np.array([0b1000, 0b0110, 0b1110, 0b0010], np.uint64), width * depth)
    outputs = np.arange(2 * low, 2 * (low + width), 2, dtype=np.int32)
    return drop_dead(share_gates(Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=outputs)))


def with_doubles(net: Netlist, seed: int) -> Netlist:
    """The same gates with outputs that repeat, are inverted, constant, or an input."""
    rng = np.random.default_rng(seed)
    outputs = net.outputs.copy()
    kinds = rng.integers(0, 6, len(outputs))
    outputs[kinds == 0] = outputs[0]
    outputs[kinds == 1] = outputs[0] ^ 1
    few = kinds == 2
    outputs[few] = rng.integers(0, 2 * net.first, few.sum())
    return Netlist(inputs=net.inputs, fanins=net.fanins, tables=net.tables, outputs=outputs)


def sums(seed: int, bits: int, groups: int) -> GroupSum:
    """Sums with weights of both signs; a group may be empty."""
    rng = np.random.default_rng(seed)
    counted = rng.random((groups, bits)) < 0.6
    counted[rng.integers(groups)] = False
    group, member = (place.astype(np.int32) for place in np.nonzero(counted))
    weight = rng.choice(np.array([1, 1, 1, 1, -1, 2, 3, -5, 7, 13], np.int32), len(group))
    offset = rng.integers(-9, 9, groups).astype(np.int32)
    return GroupSum(bits=bits, group=group, member=member, weight=weight, offset=offset)


def every_input(inputs: int):
    """All input rows, uint8 [2**inputs, inputs]."""
    return (np.arange(1 << inputs)[:, None] >> np.arange(inputs) & 1).astype(np.uint8)


@st.composite
def netlists(draw) -> Netlist:
    """Any netlist of ``netlist``, often with doubled outputs: the size and the seed are what shrinks."""
    few, gates, width = draw(st.integers(0, 6)), draw(st.integers(0, 40)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 1 << 30))
    net = netlist(seed, inputs=few, gates=gates, k=width, outputs=draw(st.integers(1, 12)))
    return with_doubles(net, seed) if draw(st.booleans()) else net
