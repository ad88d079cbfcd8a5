"""States that only keep what came before: a queue moves on by some rows in each step, and computes nothing.

Over all steps such a state is one long row of rows: those before the first step, then those of each step. What a step
sees of it is a window, whose place is known, so no step has to wait for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, shape
from edgegate.stages.loops import Loop

Places = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A state that is a queue.

    Attributes:
        before: The state in a step.
        rows: What joins it in a step.
        axis: Along which.
        views: What is nothing but rows of it: value -> which, counted from the first of ``before``; those behind
            the last are ``rows``.
        nodes: That make the views.
    """

    before: ir.Value
    rows: ir.Value
    axis: int
    views: dict[ir.Value, Places]
    nodes: tuple[ir.Node, ...]

    @property
    def length(self) -> int:
        """Rows that it holds."""
        return shape(self.before)[self.axis]

    @property
    def pace(self) -> int:
        """Rows that join in a step."""
        return shape(self.rows)[self.axis]


def queue(loop: Loop, before: ir.Value, after: ir.Value) -> Queue | None:
    """The state as a queue, or None if it is none."""
    for rows, axis in _candidates(loop, after):
        if rows is before or len(shape(rows)) != len(shape(before)):
            continue
        length, pace = shape(before)[axis], shape(rows)[axis]
        views: dict[ir.Value, Places] = {before: tuple(range(length)), rows: tuple(range(length, length + pace))}
        nodes = [node for node in loop.inside if _view(node, axis, views, before)]
        if views.get(after) == tuple(range(pace, length + pace)):
            del views[rows]
            return Queue(before=before, rows=rows, axis=axis, views=views, nodes=tuple(nodes))
    return None


def _candidates(loop: Loop, after: ir.Value) -> Iterator[tuple[ir.Value, int]]:
    """What may join a queue, and along which axis: the last part of the Concat that its rows come from."""
    node = after.producer()
    while node is not None and node in loop.inside and node.op_type == "Gather" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is not None and node in loop.inside and node.op_type == "Concat" and node.inputs[-1] is not None:
        yield node.inputs[-1], attribute(node, "axis") % len(shape(node.outputs[0]))


def _view(node: ir.Node, axis: int, views: dict[ir.Value, Places], before: ir.Value) -> bool:
    """Whether the node does nothing but choose rows; then what it makes is among the views."""
    given = [v for v in node.inputs if v is not None]
    source = given[0]
    if node.domain or attribute(node, "axis", 0) % max(len(shape(source)), 1) != axis:
        return False
    if node.op_type == "Concat" and all(v in views for v in given) and given != [source]:
        views[node.outputs[0]] = tuple(p for v in given for p in views[v])
        return True
    if source not in views or len(given) != 2 or (numbers := array(given[1])) is None:
        return False
    if node.op_type == "Gather" and numbers.ndim == 1:
        views[node.outputs[0]] = tuple(np.array(views[source])[numbers].tolist())
        return True
    if node.op_type == "Split":
        ends = np.cumsum([0, *numbers])
        views |= {v: views[source][a:b] for v, a, b in zip(node.outputs, ends[:-1], ends[1:], strict=True)}
        return True
    return False
