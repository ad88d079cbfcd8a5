"""Where blocks are formed: a value, and the layers that read it and are stored in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import BLOCKS, Array, attribute
from edgegate.quant.formats import BlockFormat, format_named
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import Layer


@dataclass(frozen=True, kw_only=True)
class Site:
    """Layers that read one value and are stored alike, so that one transform serves them all.

    Attributes:
        source: The value.
        layers: At least one.
        storage: Of the layers.
        channels: K, of the value.
        axis: Of the channels in the value.
    """

    source: ir.Value
    layers: tuple[Layer, ...]
    storage: BlockStorage
    channels: int
    axis: int

    @property
    def name(self) -> str:
        """The source's name, with the first layer's."""
        return f"{self.source.name} -> {self.layers[0].output}"

    @property
    def weights(self) -> BlockFormat:
        """The format of the weights."""
        return format_named(self.storage.weights)

    @property
    def activations(self) -> BlockFormat | None:
        """The format of the value as the layers read it."""
        return None if self.storage.activations is None else format_named(self.storage.activations)

    @property
    def block(self) -> int:
        """Channels that are transformed together: those that share an exponent."""
        return (self.activations or self.weights).block

    @property
    def outputs(self) -> int:
        """Columns of all matrices together: products per channel of one position of the value."""
        return sum(layer.data().size // self.channels for layer in self.layers)

    def matrices(self) -> Iterator[Array]:
        """Each layer's weights as [K, N]; a convolution has N = outputs * taps."""
        yield from map(matrix_of, self.layers)

    def rows(self, values: Array) -> Array:
        """The vectors [R, K] of an array of the value."""
        return np.moveaxis(values, self.axis, -1).reshape(-1, self.channels)


def matrix_of(layer: Layer) -> Array:
    """The weights as [K, N], input channels first."""
    data = layer.data()
    if layer.node.op_type == "Conv":
        return np.ascontiguousarray(np.moveaxis(data, 1, 0).reshape(data.shape[1], -1))
    return data.reshape(data.shape[-2:])


def with_matrix(layer: Layer, matrix: Array) -> Array:
    """``matrix`` [K', N] in the layout of the layer's weights; K' may be another number of channels."""
    data = layer.data()
    if layer.node.op_type == "Conv":
        return np.moveaxis(matrix.reshape(len(matrix), data.shape[0], *data.shape[2:]), 0, 1)
    return matrix


def sites(found: Sequence[Layer], formats: Mapping[str, BlockStorage | None]) -> tuple[list[Site], dict[str, str]]:
    """The sites of a model in graph order, and why the other layers that were asked for stay in int8.

    Args:
        found: All layers.
        formats: By a layer's output: what was asked for.

    Returns:
        The sites, and a reason by the output of the layer.
    """
    groups: dict[tuple[str, BlockStorage, int], list[Layer]] = {}
    reasons = {}
    uses: dict[str, set[tuple[str, BlockStorage | None]]] = {}
    for layer in found:
        uses.setdefault(str(layer.weight.name), set()).add((layer.source, formats[layer.output]))
    for layer in found:
        storage = formats[layer.output]
        if storage is None:
            continue
        shared = len(uses[str(layer.weight.name)]) > 1
        reason = "its weights belong to layers that read something else" if shared else unfit(layer, storage)
        if reason:
            reasons[layer.output] = reason
        else:
            groups.setdefault((layer.source, storage, layer.channel_axis), []).append(layer)
    return [_site(layers, storage, axis) for (_, storage, axis), layers in groups.items()], reasons


def unfit(layer: Layer, storage: BlockStorage) -> str:
    """Why a layer is not stored in blocks, or "" if it is."""
    if reason := impossible(layer):
        return reason
    channels = layer.data().shape[1 if layer.node.op_type == "Conv" else 0]
    block = format_named(storage.weights).block
    if 2 * channels <= block and BLOCKS not in layer.node.metadata_props:
        return f"{channels} input channels would fill half of a block of {block} at most"
    return ""


def impossible(layer: Layer) -> str:
    """Why a layer cannot be stored in blocks, or "" if it can."""
    node, data = layer.node, layer.data()
    if node.op_type == "Affine":
        return "a scale per channel has nothing to sum"
    if node.op_type == "Conv" and (int(attribute(node, "group", 1)) != 1 or data.ndim not in (3, 4)):
        return "blocks run along all input channels: a grouped convolution has too few of them"
    if node.op_type != "Conv" and data.ndim != 2:
        return "its weights are a batch of matrices"
    return ""


def _site(layers: list[Layer], storage: BlockStorage, axis: int) -> Site:
    source = layers[0].node.inputs[0]
    assert source is not None, "a layer has an input"
    channels = matrix_of(layers[0]).shape[0]
    return Site(source=source, layers=tuple(layers), storage=storage, channels=channels, axis=axis)
