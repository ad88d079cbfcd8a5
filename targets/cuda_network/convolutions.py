"""Convolutions of windows, alone or as a gated pair, and what stands behind them, as one kernel on tensor cores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, only_user, shape
from edgegate.targets._call import dtype
from edgegate.targets.cuda_network.conv import Geometry, Instance, choose, depthwise
from edgegate.targets.cuda_network.launch import Launch, Struct
from edgegate.targets.cuda_network.products import SHIFTS, is_rescale, is_table, named

PITCH = 16
"""Channels are a multiple of so many: pixels begin where 16 bytes can be read at once."""
IDENTITY = np.arange(-128, 128).astype(np.int8)
"""The table that changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A convolution, its rescale to int8, and the table behind that, if there is one.

    Attributes:
        conv: The convolution.
        rescale: Behind it.
        table: Behind that, or None.
    """

    conv: ir.Node
    rescale: ir.Node
    table: ir.Node | None

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """What it stands for."""
        return (self.conv, self.rescale) if self.table is None else (self.conv, self.rescale, self.table)

    @property
    def output(self) -> ir.Value:
        """What it makes."""
        return self.nodes[-1].outputs[0]

    def entries(self) -> Array | None:
        """256 bytes."""
        return None if self.table is None else array(self.table.inputs[1])

    def weights(self) -> Array:
        """int8 [O, KH, KW, C]; of channels each by itself [C, KH, KW, 1]."""
        data = array(self.conv.inputs[1])
        assert data is not None, "weights are constants"
        return _each_channel(data) if self.is_depthwise else data

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return self.conv.op_type == "DepthwiseConv2d"

    def columns(self) -> tuple[Array, Array, Array]:
        """Bias, with the zero point counted in, multipliers and shifts: int32 [O] each."""
        weights, bias = self.weights(), array(self.conv.inputs[2])
        factors = [array(v) for v in self.rescale.inputs[1:3]]
        assert bias is not None and factors[0] is not None and factors[1] is not None, "all of them are constants"
        count, zero = len(weights), int(attribute(self.conv, "input_zero_point"))
        folded = bias.reshape(-1).astype(np.int64) - weights.astype(np.int64).sum((1, 2, 3)) * zero
        spread = [np.broadcast_to(f.reshape(-1), (count,)).astype(np.int32) for f in factors if f is not None]
        return folded.astype(np.int32), spread[0], spread[1]

    def ends(self) -> tuple[int, int, int]:
        """Zero point and limits of the rescale."""
        zero, low, high = (int(attribute(self.rescale, name)) for name in ("output_zero_point", "low", "high"))
        return zero, low, high


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One branch, or the two of a gated pair and their product.

    Attributes:
        branches: Of a pair: feature, and gate.
        product: Of a pair.
    """

    branches: tuple[Branch, ...]
    product: ir.Node | None = None

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """What it stands for."""
        found = tuple(node for branch in self.branches for node in branch.nodes)
        return found if self.product is None else (*found, self.product)

    @property
    def output(self) -> ir.Value:
        """What is written."""
        return self.branches[0].output if self.product is None else self.product.outputs[0]

    def geometry(self) -> Geometry:
        """Of all branches together."""
        node = self.branches[0].conv
        weights, dims, made = self.branches[0].weights(), shape(_source(node)), shape(node.outputs[0])
        pads, strides, dilations = (list(attribute(node, name)) for name in ("pads", "strides", "dilations"))
        return Geometry(
            images=dims[0], size=(dims[1], dims[2]), channels=dims[3], kernel=(weights.shape[1], weights.shape[2]),
            strides=(strides[0], strides[1]), dilations=(dilations[0], dilations[1]), before=(pads[0], pads[1]),
            made=(made[1], made[2]), columns=len(weights) * len(self.branches),
        )  # fmt: skip

    def launch(self, capability: int, module: dict[str, str]) -> Launch | None:
        """The kernel for GPUs of one compute capability, its text added to ``module``; None where none fits."""
        pair, table = self.product is not None, self.branches[0].table is not None
        if self.branches[0].is_depthwise:
            instance: Instance | None = depthwise(self.geometry(), table=table)
        else:
            instance = choose(self.geometry(), capability, table=table, pair=pair)
        if instance is None:
            return None
        text = f"#define GATE_SIGNED {int(dtype(self.branches[-1].output) == 'int8')}\n{instance.text()}"
        return Launch(
            module=named(module, instance.kind, text), kernel=instance.name, grid=instance.grid(),
            threads=instance.threads(), shared=instance.shared(), arguments=(self._struct(instance),),
            written=frozenset({0}),
        )  # fmt: skip

    def _struct(self, instance: Instance) -> Struct:
        """``Conv`` of conv_common.cu."""
        order = instance.order()
        weights = _interleaved([branch.weights() for branch in self.branches])[order]
        if instance.kind == "conv_sm90":
            tile, (n, kh, kw, c) = instance.given["TILE_N"], weights.shape
            parts = weights.reshape(n // tile, tile, kh, kw, c // PITCH, PITCH)
            weights = np.ascontiguousarray(parts.transpose(0, 2, 3, 4, 1, 5))
        elif instance.kind == "depthwise":
            weights = _taps(weights, instance.given["X"], instance.geometry.strides[1])
        columns = [_interleaved(list(each))[order] for each in zip(*(b.columns() for b in self.branches), strict=True)]
        source = _source(self.branches[0].conv)
        pointers = (source, weights, self.output, *columns, self._tables(), None, None, None)
        zero = int(attribute(self.branches[0].conv, "input_zero_point")) & 255
        fill = int(np.uint32(zero * 0x01010101).view(np.int32))
        ends = [self.branches[0].ends(), self.branches[-1].ends()]
        numbers = (shape(source)[0], fill, *(end[i] for i in range(3) for end in ends), *self._factors(), *(0,) * 15)
        return Struct(pointers=pointers, numbers=numbers)

    def _tables(self) -> Array | None:
        """256 bytes of each branch; of a single one without a table, none."""
        found = [branch.entries() for branch in self.branches]
        if self.product is None and found[0] is None:
            return None
        return np.concatenate([(IDENTITY if t is None else t).view(np.uint8).reshape(-1) for t in found])

    def _factors(self) -> tuple[int, ...]:
        """``Product`` of conv_common.cu."""
        if self.product is None:
            return (0,) * 7
        multiplier, shift = (array(v) for v in self.product.inputs[2:4])
        assert multiplier is not None and shift is not None, "factors are constants"
        zeros = [int(attribute(self.product, f"{name}_zero_point")) for name in ("value", "gate")]
        ends = [int(attribute(self.product, name)) for name in ("output_zero_point", "low", "high")]
        return (*zeros, int(multiplier.reshape(-1)[0]), int(shift.reshape(-1)[0]), *ends)


def convolution_at(node: ir.Node) -> Convolution | None:
    """The convolution that begins at a node, with as much behind it as kernels can do; None if it is none for them."""
    first = _branch(node)
    if first is None:
        return None
    return _pair(first) or Convolution(branches=(first,))


def _source(conv: ir.Node) -> ir.Value:
    source = conv.inputs[0]
    assert source is not None, "a convolution has an input"
    return source


def _branch(node: ir.Node) -> Branch | None:
    """The branch that begins at a node."""
    weights = _weights(node)
    if weights is None or weights.dtype != np.int8 or dtype(_source(node)) != "int8":
        return None
    rescale = only_user(node.outputs[0])
    whole = shape(_source(node))[-1] % PITCH == 0 and len(weights) % PITCH == 0 and _fits(node, weights)
    if not whole or rescale is None or not is_rescale(rescale, len(weights)):
        return None
    behind = only_user(rescale.outputs[0]) if dtype(rescale.outputs[0]) == "int8" else None
    if behind is not None and is_table(behind):
        return Branch(conv=node, rescale=rescale, table=behind)
    return Branch(conv=node, rescale=rescale, table=None) if dtype(rescale.outputs[0]) == "int8" else None


def _weights(node: ir.Node) -> Array | None:
    """The weights of a convolution, as a branch has them; None of another node."""
    data = array(node.inputs[1]) if node.domain == DOMAIN and node.op_type in ("Conv2d", "DepthwiseConv2d") else None
    if data is None or (node.op_type == "Conv2d" and attribute(node, "group") == 1):
        return data
    return _each_channel(data) if node.op_type == "DepthwiseConv2d" and data.shape[3] == 1 else None


def _each_channel(weights: Array) -> Array:
    """[KH, KW, C, 1] as [C, KH, KW, 1]."""
    return np.ascontiguousarray(weights.transpose(2, 0, 1, 3))


def _taps(weights: Array, across: int, stride: int) -> Array:
    """int8 [KH, X, G, C, 4] of depthwise.cu: the taps of each of X neighbouring pixels in the row that they share."""
    channels, kh, kw, _ = weights.shape
    words = -(-((across - 1) * stride + kw) // 4)
    found = np.zeros((kh, across, words, channels, 4), np.int8)
    for x in range(across):
        for v in range(kw):
            place = x * stride + v
            found[:, x, place // 4, :, place % 4] = weights[:, :, v, 0].T
    return found


def _fits(conv: ir.Node, weights: Array) -> bool:
    """Whether sums without the zero point, and biases with it, fit int32: the kernels add them up in 64 bits."""
    bias, size = array(conv.inputs[2]), np.abs(weights.astype(np.int64)).sum((1, 2, 3)) << 7
    return bias is not None and bool((np.abs(bias.reshape(-1).astype(np.int64)) + size < 1 << 31).all())


def _pair(first: Branch) -> Convolution | None:
    """The gated pair that a branch belongs to."""
    product = only_user(first.output)
    if product is None or (product.domain, product.op_type) != (DOMAIN, "GatedProduct") or not _is_product(product):
        return None
    found = []
    for value in product.inputs[:2]:
        maker = value.producer() if value is not None else None
        while maker is not None and maker.op_type in ("Table", "Rescale") and maker.inputs[0] is not None:
            maker = maker.inputs[0].producer()
        branch = None if maker is None else _branch(maker)
        if branch is None or branch.output is not value or only_user(branch.output) is not product:
            return None
        found.append(branch)
    feature, gate = found
    alike = all(attribute(feature.conv, n) == attribute(gate.conv, n) for n in feature.conv.attributes)
    same = _source(feature.conv) is _source(gate.conv) and feature.weights().shape == gate.weights().shape
    if feature is gate or feature.is_depthwise or not alike or not same or dtype(feature.output) != "int8":
        return None
    return Convolution(branches=(feature, gate), product=product)


def _is_product(node: ir.Node) -> bool:
    """Whether the kernels have the product: of equal shapes, to int8, by a shift of theirs."""
    shift = array(node.inputs[3])
    dims = {shape(v) for v in node.inputs[:2] if v is not None}
    in_range = shift is not None and shift.size == 1 and SHIFTS[0] <= int(shift.reshape(-1)[0]) <= SHIFTS[1]
    return in_range and len(dims) == 1 and dtype(node.outputs[0]) == "int8"


def _interleaved(parts: list[Array]) -> Array:
    """[O, ...] of each branch as one array: feature 0, gate 0, feature 1, ..."""
    return np.stack(parts, 1).reshape(-1, *parts[0].shape[1:])
