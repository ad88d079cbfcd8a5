"""From a value back to the constants that it is made with."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, shape
from edgegate.quant.folds._labels import FIXED, FREE, Ties
from edgegate.quant.folds._moves import data_inputs, moved


@dataclass(frozen=True, kw_only=True)
class Change:
    """A constant input that takes part of the change.

    Attributes:
        node: The reader of the constant.
        index: Which of its inputs.
        labels: For each element, or each channel along its axis, which channel of the value it belongs to.
    """

    node: ir.Node
    index: int
    labels: Array


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a node needs so that its outputs change as asked: of its inputs, by index, and of its constants."""

    demands: dict[int, Array] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


Rule = Callable[[Ties, ir.Node, list[Array]], Step | None]
"""The step of a node, given the labels of its outputs; None if the node lets nothing through."""


def walk(
    model: ir.Model, value: ir.Value, labels: Array, ties: Ties, rule: Rule, readers: Collection[ir.Node]
) -> list[Change]:
    """What must change so that ``value`` changes as ``labels`` says.

    The graph is read backwards. A value on the way changes only where every reader of it is on the way too;
    otherwise its channels are tied to FIXED.
    """
    fields = {value: labels}
    met = {(id(node), index) for node, index in value.uses() if node in readers}
    changes: list[Change] = []
    for node in _before(model, value):
        asked = [v for v in node.outputs if v in fields]
        fields.update({v: _settled(ties, v, fields[v], met) for v in asked})
        step = (
            step_of(ties, node, [fields[v] if v in fields else _unasked(v) for v in node.outputs], rule)
            if asked
            else Step()
        )
        if step is None:
            for v in asked:
                ties.fix(fields[v])
        else:
            changes += step.changes
            _ask(ties, node, step.demands, fields, met)
    for v, wanted in fields.items():
        if v.producer() is None:
            ties.fix(wanted)
    return changes


def _ask(
    ties: Ties, node: ir.Node, demands: dict[int, Array], fields: dict[ir.Value, Array], met: set[tuple[int, int]]
) -> None:
    """Add what the node demands of its inputs to ``fields``, and its readings to ``met``."""
    for index, wanted in demands.items():
        source = node.inputs[index]
        assert source is not None, "no demand is made of an input left out"
        met.add((id(node), index))
        fields[source] = ties.merge(fields[source], wanted) if source in fields else wanted


def step_of(ties: Ties, node: ir.Node, labels: list[Array], rule: Rule) -> Step | None:
    """The node's step: a move asks for the same labels in the other place, any other is the rule's business."""
    sources = moved(node)
    if sources is None:
        return rule(ties, node, labels)
    demands: dict[int, Array] = {}
    for index in range(data_inputs(node)):
        source = node.inputs[index]
        assert source is not None, "a move has its inputs"
        dims = shape(source)
        size = int(np.prod(dims, dtype=np.int64))
        wanted = np.full(size, FREE, np.int64)
        for asked, origin in zip(labels, sources, strict=True):
            wanted = ties.merge(wanted, ties.pull(asked, origin[index], size))
        demands[index] = wanted.reshape(dims)
    return Step(demands=demands)


def _before(model: ir.Model, value: ir.Value) -> list[ir.Node]:
    """The nodes up to the producer of ``value``, the last one first."""
    nodes, producer = list(model.graph), value.producer()
    return [] if producer is None else nodes[nodes.index(producer) :: -1]


def _settled(ties: Ties, value: ir.Value, labels: Array, met: set[tuple[int, int]]) -> Array:
    """The labels, after those readers had their say that are not on the way."""
    if value.is_graph_output():
        ties.fix(labels)
    for node, index in value.uses():
        if (id(node), index) not in met:
            labels = ties.merge(labels, _left_alone(ties, node, index, value))
    return labels


def _left_alone(ties: Ties, node: ir.Node, index: int, value: ir.Value) -> Array:
    """FIXED for each element of ``value`` that the node reads, which is less than all of them for a Slice."""
    sources = moved(node) if index == 0 and node.op_type != "Concat" else None
    if sources is None:
        return np.full(shape(value), FIXED, np.int64)
    step = step_of(ties, node, [np.full(shape(v), FIXED, np.int64) for v in node.outputs], lambda *_: None)
    assert step is not None, "the node is a move"
    return step.demands[0]


def _unasked(value: ir.Value) -> Array:
    """Labels of an output that nothing on the way reads."""
    if value.shape is None:  # an output left out
        return np.full((), FREE, np.int64)
    read = bool(value.uses()) or value.is_graph_output()
    return np.full(shape(value), FIXED if read else FREE, np.int64)
