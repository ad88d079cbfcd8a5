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
from edgegate.logic.stitch import Stitch
from edgegate.ops._contraction import windows


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
    """A netlist under construction, for one sample.

    Attributes:
        batch: Samples of the batch.
        sources: What goes in, and the first node of each.
        gates: The netlist.
    """

    batch: int
    sources: dict[ir.Value, int] = field(default_factory=dict)
    gates: Stitch = field(default_factory=Stitch)

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
        if value not in self.sources:
            self.sources[value] = int(self.gates.input(prod(dims))[0]) >> 1
        first = self.sources[value]
        node = value.producer()
        clean = node is not None and node.op_type == "Threshold"
        return Bits(literals=2 * (first + np.arange(prod(dims)).reshape(dims)), made=False, clean=clean)

    def netlist(self, outputs: Array) -> Netlist:
        """The network, its inputs in the order of its sources; a source that nothing reads is dropped.

        Args:
            outputs: Literals.
        """
        read = self.gates.read(outputs)
        kept = {v: n for v, n in self.sources.items() if read[n : n + prod(self.dims(v) or ())].any()}
        kept = kept or dict([next(iter(self.sources.items()))])
        unread = frozenset(self.sources.values()) - frozenset(kept.values())
        self.sources = kept
        return self.gates.netlist(outputs, without=unread)


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
    return [network.gates.any(view.reshape(*view.shape[:3], -1, view.shape[-1]).swapaxes(-1, -2))]


def _extreme(network: Network, node: ir.Node, parts: list[Bits]) -> list[Array] | None:
    x, axes = parts[0].literals, [int(a) for a in attribute(node, "axes")]
    if network.batch > 1 and 0 in axes:
        return None
    kept = [a for a in range(x.ndim) if a not in axes]
    flat = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), -1)
    found = (network.gates.any if node.op_type == "ReduceMax" else network.gates.all)(flat)
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
