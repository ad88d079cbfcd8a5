"""The norm of each head, between a projection and its rotary embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, attribute, shape
from edgegate.quant.folds._moves import data_inputs, moved


@dataclass(frozen=True, kw_only=True)
class NormedProjection:
    """A value that a layer makes, perhaps through moves and a norm over the last axis.

    Attributes:
        layer: The Linear.
        gain: The node with the norm's constants, or None.
        index: int64, of the value's shape: the flat index into the layer's output that each element comes from.
        nodes: What stands between, from the layer on.
        values: What they make, and the layer's output.
    """

    layer: ir.Node
    gain: ir.Node | None
    index: Array
    nodes: tuple[ir.Node, ...]
    values: tuple[ir.Value, ...]


def normed(source: ir.Value) -> NormedProjection | str:
    """What makes ``source``; a reason where it is something else."""
    node = source.producer()
    if node is None:
        return "it is an input of the model"
    if _is(node, DOMAIN, "Linear"):
        return _moved(source, None, (), ())
    if _is(node, DOMAIN, "RowNorm"):
        return "its norm has no gain that could take a factor"
    if _is(node, DOMAIN, "Affine"):
        return _behind_gain(node)
    return f"it comes from {node.op_type}, not from a Linear"


def _behind_gain(affine: ir.Node) -> NormedProjection | str:
    """``norm(x) * gain``, the norm over the last axis."""
    scaled = affine.inputs[0]
    norm = None if scaled is None else scaled.producer()
    last = len(shape(affine.outputs[0])) - 1
    if scaled is None or norm is None or not _is(norm, DOMAIN, "RowNorm") or attribute(affine, "axis") != last:
        return "it comes from an Affine that is not the gain of a norm"
    start = norm.inputs[0]
    assert start is not None, "a norm reads something"
    return _moved(start, affine, (affine, norm), (affine.outputs[0], scaled))


def _moved(
    value: ir.Value, gain: ir.Node | None, nodes: tuple[ir.Node, ...], values: tuple[ir.Value, ...]
) -> NormedProjection | str:
    """From ``value`` through moves of single inputs to a Linear."""
    index = np.arange(int(np.prod(shape(value), dtype=np.int64))).reshape(shape(value))
    while True:
        node = value.producer()
        values = (*values, value)
        if node is not None and _is(node, DOMAIN, "Linear"):
            return NormedProjection(layer=node, gain=gain, index=index, nodes=(*nodes, node), values=values)
        origins = None if node is None or data_inputs(node) > 1 else moved(node)
        if node is None or origins is None or node.inputs[0] is None:
            return "its norm is not one of a Linear's heads"
        origin = origins[list(node.outputs).index(value)][0]
        index, nodes, value = origin.ravel()[index], (*nodes, node), node.inputs[0]


def _is(node: ir.Node, domain: str, op_type: str) -> bool:
    return (node.domain, node.op_type) == (domain, op_type)
