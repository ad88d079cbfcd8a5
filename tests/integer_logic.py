"""Networks of gates in random integer graphs: comparisons, tables, moves and pools of bits, counts, places."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.logic import GroupSum, Netlist
from edgegate.ops.logic import layered
from tests.integer_net import Net, dtype_of
from tests.integer_pieces import rescale

MOST = 400
"""Most bits that a network here reads."""


def logic(net: Net, x: ir.Value) -> None:
    """Layers of gates on thresholds of ``x``, which read each other's bits; counts or bits of them go on."""
    bits = compared(net, x)
    for _ in range(net.random.randint(1, 3)):
        bits = gates(net, moved(net, bits))
    if net.random.random() < 0.3:
        net.keep(bits)
    if net.random.random() < 0.3:  # something that is no gate, and gates behind it
        bits = gates(net, compared(net, counted(net, bits)))
    counts = counted(net, bits)
    if net.random.random() < 0.4:
        net.keep(net.move("ArgMax", [counts], axis=len(shape(counts)) - 1, keepdims=net.random.randint(0, 1)))
    net.keep(rescale(net, counts))


def compared(net: Net, x: ir.Value) -> ir.Value:
    """Bits [..., n] of ``x`` [..., c]: each value against a few thresholds."""
    channels = shape(x)[-1]
    few = max(1, min(3, MOST // channels))
    picked = net.data.choice(np.concatenate([s.reshape(-1) for s in net.samples[x]]), (channels, few))
    limits = picked.astype(np.int32) + net.data.integers(-1, 1, (channels, few), dtype=np.int32)
    bits = net.one("Threshold", [x, net.constant(limits)])
    return net.reshape(bits, *shape(bits)[:-2], channels * few)


def gates(net: Net, x: ir.Value) -> ir.Value:
    """A network on the last axis; its outputs may be constants, inputs, inverted, or the same twice."""
    inputs, count, k = shape(x)[-1], net.random.randint(1, 40), net.random.randint(1, 6)
    limit = 1 + inputs + np.arange(count)[:, None]
    fanins = (net.data.random((count, k)) * limit).astype(np.int32)
    tables = net.data.integers(0, 1 << 63, count, dtype=np.uint64) * np.uint64(2) >> np.uint64(64 - (1 << k))
    outputs = net.data.integers(0, 2 * (1 + inputs + count), net.random.randint(1, 30)).astype(np.int32)
    netlist = Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=outputs)
    return net.one("Logic", [x, *map(net.constant, layered(netlist))])


def moved(net: Net, x: ir.Value) -> ir.Value:
    """Bits in other places, joined with themselves, or pooled."""
    dims, last = shape(x), len(shape(x)) - 1
    kind = net.random.randrange(6)
    if kind == 0:
        picked = net.data.integers(0, dims[-1], net.random.randint(1, 20)).astype(np.int64)
        return net.move("Gather", [x, net.constant(picked)], axis=last)
    if kind == 1:
        ones = net.constant(np.ones((*dims[:-1], 2), np.uint8))
        return net.move("Concat", [x, ones, x], axis=last)
    if kind == 2 and len(dims) == 4:
        kernel = [min(2, dims[1]), min(3, dims[2])]
        return net.one(
            "MaxPool2d",
            [x],
            {"kernel": kernel, "pads": [0, kernel[1] // 2, 0, 0], "strides": [1, 2], "dilations": [1, 1]},
        )
    if kind == 3 and prod(dims[1:]) <= MOST:
        return net.reshape(x, dims[0], prod(dims[1:]))
    if kind == 4 and len(dims) > 2:
        return net.one(net.random.choice(["ReduceMax", "ReduceMin"]), [x], {"axes": [1], "keepdims": 0})
    if kind == 5 and len(dims) > 2 and dims[-2] <= MOST:
        return net.move("Transpose", [x], perm=[*range(last - 1), last, last - 1])
    return x


def counted(net: Net, bits: ir.Value) -> ir.Value:
    """int32 counts of bits: plain groups, or terms with weights."""
    size = shape(bits)[-1]
    sums = GroupSum.contiguous(size, net.random.randint(1, size))
    if net.random.random() < 0.5:
        weight = net.data.choice([-3, -1, 1, 2], size).astype(np.int32)
        offset = net.data.integers(-9, 9, sums.groups).astype(np.int32)
        sums = GroupSum(bits=size, group=sums.group, member=sums.member, weight=weight, offset=offset)
    assert dtype_of(bits) == np.uint8
    terms = (sums.group, sums.member, sums.weight, sums.offset)
    return net.one("GroupSum", [bits, *map(net.constant, terms)])
