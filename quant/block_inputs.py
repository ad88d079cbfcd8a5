"""How values are stored that layers in blocks read: in 16 bits, at scales that suit their blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx_ir as ir

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
    result = set()
    for layer in found:
        if layer.weight.name in blocks:
            source = layer.node.inputs[0]
            while source is not None and (node := source.producer()) is not None and _leads(node):
                source = node.inputs[0]
            assert source is not None, "a layer has an input"
            result.add(groups.owner(str(source.name)))
    return result


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
