"""Layers that are the two halves of one matrix read it once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, insert, matches, replace, shape
from edgegate.ops.masked_matmul import packed
from edgegate.passes._integers import add_constant, unique
from edgegate.passes._masks import complements
from edgegate.passes._rewrite import operand


@dataclass(frozen=True, kw_only=True)
class _Family:
    """Pairs of layers whose halves are those of one matrix."""

    pairs: list[tuple[ir.Node, ir.Node]]
    weight: Array


def mask_layers(model: ir.Model) -> None:
    """Turn MatMuls of one value whose weights are disjointly masked halves of one matrix into a MaskedMatMul.

    An exporter writes a masked gated linear unit (arXiv 2506.23225) as dense layers, two for each mask, most of whose
    weights are zeros. Where two have no place in common, their sum holds both, and bits tell whose a weight is: 9 bits
    instead of 16. Pairs with the same sum share it. Whether a place is zero because of the mask or of the weight makes
    no difference, so this is exact however they were trained; a Split hands each layer's sums to what follows it.
    """
    for layers in _alike(model):
        for family in _families(layers):
            _merge(model, family)


def _alike(model: ir.Model) -> Iterator[list[ir.Node]]:
    """Layers of the same input, zero point and number of channels."""
    groups: dict[tuple[object, ...], list[ir.Node]] = {}
    for node in matches(model, "MatMul", "MatMul16x8", domain="edgegate"):
        weight, bias = array(operand(node, 1)), array(operand(node, 2))
        if weight is None or bias is None or weight.ndim != 2 or attribute(node, "b_zero_point", 0):
            continue
        if any(v.is_graph_output() for v in node.outputs):  # what a Split makes cannot take its name
            continue
        key = operand(node), node.op_type, attribute(node, "a_zero_point", 0), weight.shape
        groups.setdefault(key, []).append(node)
    yield from (nodes for nodes in groups.values() if len(nodes) > 1)


def _families(nodes: Sequence[ir.Node]) -> list[_Family]:
    found: list[_Family] = []
    for i, j in complements([_weight(node) for node in nodes]):
        pair = nodes[i], nodes[j]
        whole = _weight(pair[0]) + _weight(pair[1])
        known = next((f for f in found if np.array_equal(f.weight, whole)), None)
        if known is None:
            found.append(_Family(pairs=[pair], weight=whole))
        else:
            known.pairs.append(pair)
    return found


def _weight(node: ir.Node) -> Array:
    data = array(operand(node, 1))
    assert data is not None, "the layer was chosen for its constant weights"
    return data


def _merge(model: ir.Model, family: _Family) -> None:
    nodes = [node for pair in family.pairs for node in pair]
    order = {id(node): i for i, node in enumerate(model.graph)}
    anchor = min(nodes, key=lambda node: order[id(node)])
    name, width = str(anchor.outputs[0].name), family.weight.shape[1]
    masks = packed(np.stack([_weight(first) != 0 for first, _ in family.pairs]))
    bias = np.concatenate([np.broadcast_to(_bias(node), width) for node in nodes])
    constants = [
        add_constant(model, f"{name}.{what}", data)
        for what, data in (("weight", family.weight), ("masks", masks), ("bias", bias))
    ]
    kind = anchor.outputs[0].dtype
    assert kind is not None, "every value of an integer model has a type"
    lead = shape(anchor.outputs[0])[:-1]
    whole = insert(
        anchor, "MaskedMatMul", [operand(anchor), *constants], {"x_zero_point": attribute(anchor, "a_zero_point", 0)},
        name=unique(model, f"{name}.masked"), dtype=kind, dims=(*lead, width * len(nodes)),
    )  # fmt: skip
    _split(model, anchor, whole, nodes, width)


def _bias(node: ir.Node) -> Array:
    data = array(operand(node, 2))
    assert data is not None, "the layer was chosen for its constant bias"
    return data


def _split(model: ir.Model, anchor: ir.Node, whole: ir.Value, nodes: Sequence[ir.Node], width: int) -> None:
    """Each layer's sums, under its own name."""
    sizes = add_constant(model, f"{whole.name}.sizes", np.full(len(nodes), width, np.int64))
    old = [node.outputs[0] for node in nodes]
    outputs = [ir.Value(name=unique(model, f"{v.name}.half"), shape=v.shape, type=v.type) for v in old]
    axis, name, kept = len(shape(whole)) - 1, unique(model, f"{whole.name}.parts"), dict(anchor.metadata_props)
    split = ir.node("Split", [whole, sizes], {"axis": axis}, outputs=outputs, name=name, metadata_props=kept)
    model.graph.insert_before(anchor, [split])
    for node, value in zip(nodes, outputs, strict=True):
        replace(node, value)
