"""One layer for value and gate becomes two layers, side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, insert, matches, only_user, replace, shape
from edgegate.passes._integers import add_constant, is_own, unique
from edgegate.passes._rewrite import operand

CHANNELS: dict[str, Callable[[Array, slice], Array]] = {
    "Conv2d": lambda weight, part: weight[part],
    "Conv2d16x8": lambda weight, part: weight[part],
    "Conv1d": lambda weight, part: weight[part],
    "MatMul": lambda weight, part: weight[..., part],
    "MatMul16x8": lambda weight, part: weight[..., part],
}
"""The weights of some output channels, for each layer that can be split."""


def split_layers(model: ir.Model) -> None:
    """Turn a layer whose channels a Split tells apart into one layer for each part.

    Gated convolutions and linear units are often written as one layer and a chunk. An output channel depends
    on its own weights, bias, multiplier and shift alone, so each part is a layer with its slice of them; what is
    done to single elements on the way (Rescale, Table) is done to each part. Value and gate then come from two
    layers that read the same, which a target computes together and multiplies in registers. Nothing but the
    Split may read the layer.
    """
    for split in matches(model, "Split"):
        chain = _chain(split)
        if chain is None:
            continue
        stops = np.cumsum([shape(v)[-1] for v in split.outputs]).tolist()
        parts = [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
        made = [_part(model, chain, part, value) for part, value in zip(parts, split.outputs, strict=True)]
        replace(split, *made)
        for node in reversed(chain):
            model.graph.remove(node, safe=True)


def _chain(split: ir.Node) -> list[ir.Node] | None:
    """A layer and what follows it up to the Split of its channels, each read by the next alone; or None."""
    rank = len(shape(operand(split)))
    if attribute(split, "axis", 0) % rank != rank - 1:
        return None
    chain: list[ir.Node] = [split]
    while (value := operand(chain[0])).producer() is not None and only_user(value) is chain[0]:
        node = value.producer()
        assert node is not None, "the loop's condition"
        chain.insert(0, node)
        if _is_layer(node):
            return chain[:-1]
        if not is_own(node, "Rescale", "Table", "Table16") or shape(operand(node)) != shape(value):
            return None
    return None


def _is_layer(node: ir.Node) -> bool:
    """Whether each output channel has weights and a bias of its own, and reads every input channel."""
    if not is_own(node, *CHANNELS) or attribute(node, "group", 1) != 1:
        return False
    weight, bias = array(node.inputs[1]), array(node.inputs[2])
    return weight is not None and bias is not None and bias.shape == shape(node.outputs[0])[-1:]


def _part(model: ir.Model, chain: list[ir.Node], part: slice, old: ir.Value) -> ir.Value:
    """The part's own chain, beside the one it is taken from; the end has the name of ``old``."""
    value = operand(chain[0])
    for node in chain:
        inputs = [value, *(_constant_part(model, node, i, part, old) for i in range(1, len(node.inputs)))]
        whole = node.outputs[0]
        assert whole.dtype is not None, "every value of an integer model has a type"
        name = str(old.name) if node is chain[-1] else unique(model, f"{old.name}.{node.op_type.lower()}")
        dims = (*shape(whole)[:-1], part.stop - part.start)
        attributes = {a.name: a.value for a in node.attributes.values()}
        value = insert(node, node.op_type, inputs, attributes, name=name, dtype=whole.dtype, dims=dims)
    return value


def _constant_part(model: ir.Model, node: ir.Node, index: int, part: slice, old: ir.Value) -> ir.Value:
    """The node's constant input: cut to the channels of the part if it has one entry (or column) for each."""
    value = operand(node, index)
    data = array(value)
    assert data is not None, "layers and what follows them have constants beside their input"
    if is_own(node, *CHANNELS):
        cut = CHANNELS[node.op_type](data, part) if index == 1 else data[part]
        return add_constant(model, f"{old.name}.{('weight', 'bias')[index - 1]}", cut)
    if is_own(node, "Rescale") and data.ndim and data.shape[-1] > 1:
        return add_constant(model, f"{old.name}.{('multiplier', 'shift')[index - 1]}", data[..., part])
    return value
