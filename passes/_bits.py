"""Bits of a graph as arrays of literals, and the network that they are literals of, while it grows.

Samples of a batch are computed alike, so an array holds the literals of one sample: its first axis has length one where
the value's is the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.logic import Netlist
from edgegate.logic.netlist import WIDEST
from edgegate.ops._contraction import windows

LOW = tuple(np.uint64(sum(1 << a for a in range(64) if not a >> j & 1)) for j in range(WIDEST))
"""The table entries at whose addresses bit ``j`` is 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bits:
    """A value as literals.

    Attributes:
        literals: int64, in the shape of one sample.
        made: Whether gates make it; else it is moved from what goes into the network.
        clean: Whether the value holds 0 and 1 alone, as whatever gates make does.
    """

    literals: Array
    made: bool
    clean: bool


@dataclass(kw_only=True)
class Network:
    """A netlist under construction. Its nodes are numbered as they come, inputs among gates.

    Attributes:
        batch: Samples of the batch.
        sources: What goes in, and the first node of each.
        blocks: (first node, fanins [G, k], tables [G]) of gates that were made together.
        count: Nodes so far; node 0 is false.
    """

    batch: int
    sources: dict[ir.Value, int] = field(default_factory=dict)
    blocks: list[tuple[int, Array, Array]] = field(default_factory=list)
    count: int = 1

    def dims(self, value: ir.Value) -> tuple[int, ...] | None:
        """The shape of one sample of ``value``; None if its first axis is no batch."""
        dims = shape(value)
        if self.batch == 1:
            return dims
        return (1, *dims[1:]) if dims and dims[0] == self.batch else None

    def constant(self, data: Array) -> Bits | None:
        """Bits that are the same for every sample."""
        if self.batch > 1:
            if data.ndim == 0 or not (data == data[:1]).all():
                return None
            data = data[:1]
        return Bits(literals=(data != 0).astype(np.int64), made=False, clean=bool((data <= 1).all()))

    def source(self, value: ir.Value) -> Bits | None:
        """Let ``value`` go into the network."""
        dims = self.dims(value)
        if dims is None:
            return None
        first = self.sources.setdefault(value, self.count)
        self.count = max(self.count, first + prod(dims))
        node = value.producer()
        clean = node is not None and node.op_type == "Threshold"
        return Bits(literals=2 * (first + np.arange(prod(dims)).reshape(dims)), made=False, clean=clean)

    def add(self, netlist: Netlist, x: Array) -> Array:
        """A copy of ``netlist`` for each row of the last axis of ``x``; the literals of its outputs."""
        rows = x.reshape(-1, netlist.inputs)
        copies, gates = len(rows), netlist.gates
        own = self.count + np.arange(copies * gates).reshape(copies, gates)
        known = np.concatenate([np.zeros((copies, 1), np.int64), rows, 2 * own], 1)
        self._append(known[:, netlist.fanins].reshape(-1, netlist.k), np.tile(netlist.tables, copies))
        found = known[:, netlist.outputs >> 1] ^ (netlist.outputs & 1)
        return np.asarray(found.reshape(*x.shape[:-1], len(netlist.outputs)))

    def any(self, literals: Array) -> Array:
        """Whether one of the literals along the last axis is true: gates of up to six inputs, in as many levels."""
        while literals.shape[-1] > 1:
            count = literals.shape[-1]
            k = min(count, WIDEST)
            groups = -(-count // k)
            lead = literals.shape[:-1]
            padded = np.concatenate([literals, np.zeros((*lead, groups * k - count), np.int64)], -1)
            own = self.count + np.arange(prod(lead) * groups)
            table = np.uint64((1 << (1 << k)) - 2)
            self._append(padded.reshape(-1, k), np.full(len(own), table))
            literals = 2 * own.reshape(*lead, groups)
        return literals[..., 0]

    def all(self, literals: Array) -> Array:
        """Whether all literals along the last axis are true."""
        return np.asarray(self.any(literals ^ 1) ^ 1)

    def _append(self, fanins: Array, tables: Array) -> None:
        """Gates that read literals: an inverted one changes the table."""
        for j in range(fanins.shape[1]):
            step, low = np.uint64(1 << j), LOW[j]
            swapped = (tables >> step & low) | (tables & low) << step
            tables = np.where(fanins[:, j] & 1, swapped, tables)
        self.blocks.append((self.count, fanins >> 1, tables))
        self.count += len(tables)

    def netlist(self, outputs: Array) -> Netlist:
        """The network, its inputs in the order of its sources; a source that nothing reads is dropped.

        Args:
            outputs: Literals.
        """
        read = np.zeros(self.count, np.bool_)
        for nodes in (outputs >> 1, *(fanins for _, fanins, _ in self.blocks)):
            read[nodes] = True
        first = next(iter(self.sources))
        self.sources = {v: n for v, n in self.sources.items() if read[n : n + prod(self.dims(v) or ())].any()} or {
            first: self.sources[first]
        }
        sizes = [prod(self.dims(value) or ()) for value in self.sources]
        k = max((fanins.shape[1] for _, fanins, _ in self.blocks), default=1)
        final, after = np.zeros(self.count, np.int64), 1
        for start, size in zip(self.sources.values(), sizes, strict=True):
            final[start : start + size] = after + np.arange(size)
            after += size
        for start, fanins, _ in self.blocks:
            final[start : start + len(fanins)] = after + np.arange(len(fanins))
            after += len(fanins)
        wired = [np.pad(final[f], ((0, 0), (0, k - f.shape[1]))) for _, f, _ in self.blocks]
        tables = [_widened(t, f.shape[1], k) for _, f, t in self.blocks]
        return Netlist(
            inputs=sum(sizes),
            fanins=np.concatenate([np.zeros((0, k), np.int64), *wired]).astype(np.int32),
            tables=np.concatenate([np.zeros(0, np.uint64), *tables]),
            outputs=(2 * final[outputs >> 1] + (outputs & 1)).astype(np.int32),
        )


def _widened(tables: Array, k: int, wide: int) -> Array:
    """Tables of ``k`` inputs as tables of ``wide``, which ignore the inputs above."""
    for j in range(k, wide):
        tables = tables | tables << np.uint64(1 << j)
    return tables


def _reshape(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    dims = network.dims(node.outputs[0])
    x = parts[0].literals
    return None if dims is None or prod(dims) != x.size else [x.reshape(dims)]


def _transpose(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    perm = attribute(node, "perm")
    return None if network.batch > 1 and perm[0] else [parts[0].literals.transpose(perm)]


def _concat(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    axis = _axis(network, node, parts[0])
    return None if axis is None else [np.concatenate([p.literals for p in parts], axis)]


def _split(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    axis, sizes = _axis(network, node, parts[0]), array(node.inputs[1])
    return None if axis is None or sizes is None else np.split(parts[0].literals, np.cumsum(sizes)[:-1], axis)


def _gather(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    axis, indices = _axis(network, node, parts[0]), array(node.inputs[1])
    return None if axis is None or indices is None else [np.take(parts[0].literals, indices, axis)]


def _axis(network: Network, node: ir.Node, part: Bits) -> int | None:
    """The axis that a node works along; None if it is that of the batch."""
    axis = int(attribute(node, "axis", 0)) % part.literals.ndim
    return None if network.batch > 1 and axis == 0 else axis


def _max_pool(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    """The greatest of bits is whether any is true; what is padded is false."""
    settings = [list(attribute(node, name)) for name in ("kernel", "pads", "strides", "dilations")]
    kernel, pads, strides, dilations = settings
    view = windows(parts[0].literals, kernel, pads, strides, dilations, 0)
    return [network.any(view.reshape(*view.shape[:3], -1, view.shape[-1]).swapaxes(-1, -2))]


def _extreme(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    x, axes = parts[0].literals, [int(a) for a in attribute(node, "axes")]
    if network.batch > 1 and 0 in axes:
        return None
    kept = [a for a in range(x.ndim) if a not in axes]
    flat = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), -1)
    found = (network.any if node.op_type == "ReduceMax" else network.all)(flat)
    dims = network.dims(node.outputs[0])
    return None if dims is None else [found.reshape(dims)]


MOVES: dict[str, Callable[[Network, ir.Node, list[Bits]], list[Array] | None]] = {
    "Reshape": _reshape, "Transpose": _transpose, "Concat": _concat, "Split": _split, "Gather": _gather,
}  # fmt: skip
"""Ops of the standard domain that move bits: the literals of their outputs, or None if they reach across samples."""
JOINS: dict[str, Callable[[Network, ir.Node, list[Bits]], list[Array] | None]] = {
    "MaxPool2d": _max_pool, "ReduceMax": _extreme, "ReduceMin": _extreme,
}  # fmt: skip
"""Ops of the project's domain that are gates where they read bits."""
