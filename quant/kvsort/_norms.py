"""The norm of each head, between a projection and its rotary embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
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
    if _is(node, "", "RMSNormalization") or _is(node, "", "LayerNormalization"):
        one_axis = attribute(node, "axis", -1) % len(shape(source)) == len(shape(source)) - 1
        start = node.inputs[0]
        fits = one_axis and start is not None and all(array(v) is not None for v in node.inputs[1:] if v is not None)
        return (
            _moved(start, node, (node,), (source,))
            if fits and start is not None
            else f"its {node.op_type} is not of one head"
        )
    if _is(node, DOMAIN, "Affine"):
        return _decomposed(node)
    return f"it comes from {node.op_type}, not from a Linear"


def _decomposed(affine: ir.Node) -> NormedProjection | str:
    """``x * f(mean(g(x))) * gain``, the mean over the last axis."""
    scaled = affine.inputs[0]
    gate = None if scaled is None else scaled.producer()
    last = len(shape(affine.outputs[0])) - 1
    if gate is None or gate.domain != f"{DOMAIN}.gate" or attribute(affine, "axis") != last:
        return "it comes from an Affine that is not the gain of a norm"
    start, at = gate.inputs[0], gate.inputs[1]
    nodes, values, reduced = [affine, gate], [affine.outputs[0], gate.outputs[0]], False
    while at is not None and at is not start:
        node = at.producer()
        if node is None or not (node.domain == f"{DOMAIN}.unary" or _is_mean(node, last)):
            return "it comes from a product that is no norm"
        reduced |= node.op_type == "ReduceMean"
        nodes.append(node)
        values.append(at)
        at = node.inputs[0]
    if start is None or not reduced:
        return "it comes from a product that is no norm"
    return _moved(start, affine, tuple(nodes), tuple(values))


def _is_mean(node: ir.Node, last: int) -> bool:
    axes = array(node.inputs[1]) if len(node.inputs) > 1 else None
    fits = axes is not None and [int(a) % (last + 1) for a in axes.ravel()] == [last]
    return _is(node, "", "ReduceMean") and fits and bool(attribute(node, "keepdims", 1))


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
