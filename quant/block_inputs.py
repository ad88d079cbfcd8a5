"""How values are stored that layers in blocks read: in 16 bits, at scales that suit their blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgegate.graph import array
from edgegate.quant.given import in_powers
from edgegate.quant.sharing import GATE, Groups, is_move
from edgegate.quant.storage import Storage
from edgegate.quant.weights import Layer


def owners(groups: Groups, found: Sequence[Layer], blocks: Collection[str]) -> set[str]:
    """The owners of what layers in blocks read: a block keeps what 8 bits for the whole tensor would lose.

    Args:
        groups: Of the model's values.
        found: All layers.
        blocks: Names of the weights in blocks.
    """
    return {groups.owner(_source(layer)[0]) for layer in found if layer.weight.name in blocks}


def _source(layer: Layer) -> tuple[str, float]:
    """The name of what a layer in blocks reads before its transform, and how far that reaches beyond it at most."""
    source, growth = layer.node.inputs[0], 1.0
    while source is not None and (node := source.producer()) is not None and _leads(node):
        if node.op_type == "Transform" and (matrices := array(node.inputs[1])) is not None:
            growth *= float(np.abs(matrices).sum(axis=-1).max())
        source = node.inputs[0]
    assert source is not None, "a layer has an input"
    return str(source.name), growth


def factors(model: ir.Model, groups: Groups, read: Collection[str]) -> set[str]:
    """The owners of the values that gates multiply, where the product is read in blocks.

    A diagonal that stands before the layer is folded into them, channel by channel, and 8 bits for all would lose the
    channels that it makes small.
    """
    products = [node for node in model.graph if node.domain == GATE and groups.owner(str(node.outputs[0].name)) in read]
    return {groups.owner(str(node.inputs[0].name)) for node in products if node.inputs[0] is not None}


def _leads(node: ir.Node) -> bool:
    """Whether a node stands between a value and the layers in blocks that read it: a Transform, with its moves."""
    return is_move(node) or node.op_type == "Transform"


SLACK = 4.0
"""The analysis bounds significands and exponents apart, and scales are rounded up to powers of two: twice each."""


def within_int32(
    groups: Groups, found: Sequence[Layer], blocks: Collection[str], stored: Mapping[str, Storage]
) -> dict[str, Storage]:
    """The storages, outputs of layers in blocks coarse enough for a rescale, whatever the input holds.

    A sum of 48 bits reaches ``sum |w| * max |x|``, and must fit 32 bits in steps of the output before it is clipped.

    Args:
        groups: Of the model's values.
        found: All layers.
        blocks: Names of the weights in blocks.
        stored: Every value's storage.
    """
    least: dict[str, float] = {}
    for layer in found:
        owner = groups.owner(layer.output)
        if layer.weight.name in blocks and owner not in groups.given:
            name, growth = _source(layer)
            reach = growth * max(-stored[name].real_low, stored[name].real_high)
            rows = np.moveaxis(layer.data(), layer.axis, 0)
            sums = np.abs(rows.reshape(len(rows), -1)).sum(axis=1, dtype=np.float64) * reach + np.abs(layer.bias_data())
            least[owner] = max(least.get(owner, 0.0), SLACK * float(sums.max()) / 2**31)
    return {
        name: replace(storage, scale=max(storage.scale, least.get(groups.owner(name), 0.0)))
        for name, storage in stored.items()
    }


def in_their_powers(
    groups: Groups,
    found: Sequence[Layer],
    blocks: Collection[str],
    factors: Mapping[str, float],
    stored: Mapping[str, Storage],
) -> dict[str, Storage]:
    """The storages, where blocks are read with the scales that suit them.

    Args:
        groups: Of the model's values.
        found: All layers.
        blocks: Names of the weights in blocks.
        factors: By what a value is multiplied before it is cut into blocks, by its name.
        stored: Every value's storage.
    """
    read = owners(groups, found, blocks) - set(groups.given)
    by_owner = {groups.owner(name): factor for name, factor in factors.items()}
    return {
        name: in_powers(storage, by_owner.get(owner, 1.0)) if (owner := groups.owner(name)) in read else storage
        for name, storage in stored.items()
    }
