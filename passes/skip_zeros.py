"""Blocks of zeros are not multiplied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, insert, matches, shape
from edgegate.passes._integers import add_constant, stand_in, unique
from edgegate.passes._rewrite import operand
from edgegate.passes._zero_blocks import PART, Part, parts


def skip_zeros(model: ir.Model) -> None:
    """Turn a MatMul whose weights have enough blocks of zeros into smaller ones of some inputs and some outputs each.

    So prune vision transformers for devices (LPViT, arXiv 2407.02068), and so look structured matrices once an exporter
    has written them out. Gather brings a part's inputs together, Concat the sums, and another Gather brings those in
    their order where it is another. A zero weight adds exactly nothing, so all bits stay. A grouped Conv1d of one tap
    is such a matrix, too: its blocks lie on the diagonal.
    """
    for node in matches(model, "Conv1d", domain="edgegate"):
        _diagonal(model, node)
    for node in matches(model, "MatMul", "MatMul16x8", domain="edgegate"):
        weight, bias = array(operand(node, 1)), array(operand(node, 2))
        if weight is None or bias is None or weight.ndim != 2 or node.outputs[0].is_graph_output():
            continue
        dims = shape(node.outputs[0])
        found = parts(weight, int(np.prod(dims[:-1])))
        if found:
            _replace(model, node, found, weight, np.broadcast_to(bias, dims[-1]))


def _diagonal(model: ir.Model, node: ir.Node) -> None:
    """A product for each group of a pointwise convolution whose groups are worth one."""
    weight, bias, group = array(operand(node, 1)), array(operand(node, 2)), int(attribute(node, "group", 1))
    plain = list(attribute(node, "pads")) == [0, 0] and list(attribute(node, "stride")) == [1]
    if weight is None or bias is None or group == 1 or weight.shape[1] > 1 or not plain:
        return
    (outputs, _, depth), dims = weight.shape, shape(node.outputs[0])
    width = outputs // group
    if int(np.prod(dims[:-1])) * depth * width < PART or node.outputs[0].is_graph_output():
        return
    dense = np.zeros((group * depth, outputs), weight.dtype)
    found = []
    for g in range(group):
        part = Part(rows=np.arange(g * depth, (g + 1) * depth), columns=np.arange(g * width, (g + 1) * width))
        dense[np.ix_(part.rows, part.columns)] = weight[part.columns, 0].T
        found.append(part)
    _replace(model, node, found, dense, np.broadcast_to(bias, outputs))


def _replace(model: ir.Model, node: ir.Node, found: Sequence[Part], weight: Array, bias: Array) -> None:
    name, kind, dims = str(node.outputs[0].name), node.outputs[0].dtype, shape(node.outputs[0])
    assert kind is not None, "every value of an integer model has a type"
    sums = [_product(model, node, part, weight, bias) for part in found]
    whole = sums[0]
    if len(sums) > 1:
        joined = unique(model, f"{name}.joined")
        whole = insert(node, "Concat", sums, {"axis": len(dims) - 1}, domain="", name=joined, dtype=kind, dims=dims)
    order = np.argsort(np.concatenate([part.columns for part in found]), kind="stable")
    if (np.diff(order) != 1).any():
        whole = _gather(model, node, whole, order, f"{name}.ordered")
    stand_in(node, whole)


def _product(model: ir.Model, node: ir.Node, part: Part, weight: Array, bias: Array) -> ir.Value:
    """The sums of a part's columns."""
    source, name, kind = operand(node), str(node.outputs[0].name), node.outputs[0].dtype
    assert kind is not None, "every value of an integer model has a type"
    if len(part.rows) < len(weight):
        source = _gather(model, node, source, part.rows, f"{name}.inputs")
    made = unique(model, f"{name}.part")
    constants = [
        add_constant(model, f"{made}.weight", weight[np.ix_(part.rows, part.columns)]),
        add_constant(model, f"{made}.bias", bias[part.columns]),
    ]
    attributes, op_type = {a.name: a.value for a in node.attributes.values()}, node.op_type
    if op_type == "Conv1d":
        attributes, op_type = {"a_zero_point": attributes["input_zero_point"], "b_zero_point": 0}, "MatMul"
    dims = (*shape(node.outputs[0])[:-1], len(part.columns))
    return insert(node, op_type, [source, *constants], attributes, name=made, dtype=kind, dims=dims)


def _gather(model: ir.Model, node: ir.Node, value: ir.Value, index: Array, name: str) -> ir.Value:
    """Some elements of the last axis."""
    assert value.dtype is not None, "every value of an integer model has a type"
    dims = (*shape(value)[:-1], len(index))
    inputs = [value, add_constant(model, f"{name}.index", index.astype(np.int64))]
    plain = {"axis": len(dims) - 1}
    return insert(node, "Gather", inputs, plain, domain="", name=unique(model, name), dtype=value.dtype, dims=dims)
