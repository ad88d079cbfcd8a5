"""Values whose channels belong together: from the layers that make them to the layers that sum over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import onnx_ir as ir

from edgegate.graph import BLOCKS, DOMAIN, GRID, array, attribute, shape
from edgegate.passes._functions import GATE, UNARY

SAME = frozenset({("", "Relu"), ("", "Clip"), ("", "MaxPool"), ("", "AveragePool"), (DOMAIN, "StageGate")})
"""Ops that treat each channel of their first input alone, and leave the axes where they are."""
PAIRS = frozenset({("", "Add"), ("", "Sub"), ("", "Mul")})
"""Ops of two values, channel by channel."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the channels of a value are: channel ``c`` is at ``c * run`` and the ``run - 1`` places behind it."""

    axis: int
    run: int = 1


@dataclass(kw_only=True)
class Family:
    """Values that lose a channel together.

    Attributes:
        count: Channels.
        places: Where they are, by value.
        makers: Layers that make them, and with them a value.
        inner: Ops between, in no order.
        readers: (layer, value) that sums over them.
        bound: Whether something else knows how many they are, so that none may go.
    """

    count: int
    places: dict[ir.Value, Place] = field(default_factory=dict)
    makers: list[ir.Node] = field(default_factory=list)
    inner: list[ir.Node] = field(default_factory=list)
    readers: list[tuple[ir.Node, ir.Value]] = field(default_factory=list)
    bound: bool = False


def output_place(node: ir.Node) -> Place | None:
    """Where the channels are that a layer makes; None if it is no layer, or its channels cannot be told apart."""
    if any(array(v) is None for v in node.inputs[1:]) or {GRID, BLOCKS} & set(node.metadata_props):
        return None
    if (node.domain, node.op_type) == ("", "Conv") and attribute(node, "group", 1) == 1:
        return Place(axis=1)
    weight = array(node.inputs[1]) if len(node.inputs) > 1 else None
    linear = (node.domain, node.op_type) == (DOMAIN, "Linear") and weight is not None and weight.ndim == 2
    return Place(axis=len(shape(node.outputs[0])) - 1) if linear else None


def family(layer: ir.Node) -> Family:
    """All that has the channels of what ``layer`` makes."""
    place = output_place(layer)
    assert place is not None, "it is a layer"
    found = Family(count=shape(layer.outputs[0])[place.axis])
    waiting = [(layer.outputs[0], place)]
    while waiting and not found.bound:
        value, place = waiting.pop()
        if value in found.places:
            found.bound |= found.places[value] != place
            continue
        found.places[value] = place
        found.bound |= value.is_graph_output() or array(value) is not None or len(shape(value)) <= place.axis
        waiting += _from(found, value, place)
    return found


def _from(found: Family, value: ir.Value, place: Place) -> list[tuple[ir.Value, Place]]:
    """The values that must go with ``value``: what its readers make, and what its maker reads."""
    maker = value.producer()
    if maker is None:
        found.bound = True
        return []
    more: list[tuple[ir.Value, Place]] = []
    if output_place(maker) == place:
        found.makers.append(maker)
    else:
        more += _across(found, maker, place, value)
    for node, index in value.uses():
        if index == 0 and _sums(node, value, place):
            found.readers.append((node, value))
        else:
            more += _across(found, node, place, value)
    return more


def _sums(node: ir.Node, value: ir.Value, place: Place) -> bool:
    """Whether the node is a layer that sums over all channels of ``value``."""
    made = output_place(node)
    axis = 1 if node.op_type == "Conv" else len(shape(value)) - 1
    return made is not None and place.axis == axis


def _across(found: Family, node: ir.Node, place: Place, value: ir.Value) -> list[tuple[ir.Value, Place]]:
    """What an op between has channels of: all its values, or nothing and the family is bound."""
    if node in found.inner:
        return []
    pairs = _pairs(node, place, value)
    if pairs is None:
        found.bound = True
        return []
    found.inner.append(node)
    return [pair for pair in pairs if pair[0] is not value]


def _pairs(node: ir.Node, place: Place, value: ir.Value) -> list[tuple[ir.Value, Place]] | None:
    kind, output, first = (node.domain, node.op_type), node.outputs[0], node.inputs[0]
    if first is None or len(node.outputs) != 1:
        return None
    if value is not output and value is not first and kind not in PAIRS and node.domain != GATE:
        return None
    if kind in SAME and (place.axis == 1 or "Pool" not in node.op_type):
        return [(first, place), (output, place)]
    if node.domain == UNARY or is_affine(node, place) or is_depthwise(node, place):
        return [(first, place), (output, place)]
    if kind in PAIRS or node.domain == GATE:
        return _both(node, place)
    if kind in (("", "ReduceMean"), ("", "ReduceSum")):
        return _reduced(node, place, value)
    return _reshaped(node, place, value) if kind == ("", "Reshape") else None


def is_affine(node: ir.Node, place: Place) -> bool:
    """Whether the node is an Affine along these channels."""
    along = (node.domain, node.op_type) == (DOMAIN, "Affine") and attribute(node, "axis") == place.axis
    constant = all(array(v) is not None for v in node.inputs[1:])
    return along and constant and place.run == 1 and GRID not in node.metadata_props


def is_depthwise(node: ir.Node, place: Place) -> bool:
    """Whether the node is a convolution of each channel alone."""
    if (node.domain, node.op_type) != ("", "Conv") or place != Place(axis=1):
        return False
    weight = array(node.inputs[1])
    alone = weight is not None and attribute(node, "group", 1) == len(weight) > 1 and weight.shape[1] == 1
    return alone and array(node.inputs[2]) is not None and not {GRID, BLOCKS} & set(node.metadata_props)


def _both(node: ir.Node, place: Place) -> list[tuple[ir.Value, Place]] | None:
    """Two factors or terms with all the channels each."""
    sides = [v for v in node.inputs[:2] if v is not None]
    size = shape(node.outputs[0])[place.axis] if len(shape(node.outputs[0])) > place.axis else 0
    ranks = {len(shape(v)) for v in (*sides, node.outputs[0])}
    if len(sides) < 2 or len(ranks) > 1 or any(shape(v)[place.axis] != size for v in sides):
        return None
    return [(v, place) for v in (*sides, node.outputs[0])]


def _reduced(node: ir.Node, place: Place, value: ir.Value) -> list[tuple[ir.Value, Place]] | None:
    """A sum over other axes; which may stay as axes of one."""
    source, axes = node.inputs[0], array(node.inputs[1]) if len(node.inputs) > 1 else None
    if source is None or axes is None:
        return None
    rank = len(shape(source))
    gone = {int(a) % rank for a in axes.reshape(-1)}
    left = range(rank) if attribute(node, "keepdims", 1) else [a for a in range(rank) if a not in gone]
    axis = left[place.axis] if value is node.outputs[0] else place.axis
    if axis in gone:
        return None
    after = Place(axis=list(left).index(axis), run=place.run)
    return [(source, Place(axis=axis, run=place.run)), (node.outputs[0], after)]


def _reshaped(node: ir.Node, place: Place, value: ir.Value) -> list[tuple[ir.Value, Place]] | None:
    """Channels and what is behind them flattened, or axes of one dropped; forwards alone."""
    source, output = node.inputs[0], node.outputs[0]
    if source is None or value is not source:
        return None
    before, after = shape(source), shape(output)
    if before[: place.axis] != after[: place.axis] or len(after) <= place.axis:
        return None
    behind = prod(before[place.axis + 1 :])
    if len(after) == place.axis + 1:
        return [(source, place), (output, Place(axis=place.axis, run=place.run * behind))]
    same = before[place.axis] == after[place.axis]
    return [(source, place), (output, place)] if same else None
