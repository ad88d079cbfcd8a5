"""What values go through a loop: proved by induction over the steps.

A state is taken to hold all that its type does; 24 bits of an int32, if it holds no more before the first step. The
first step finds it so, and each step leaves it so: then every step does.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgegate.graph import attribute
from edgegate.ops import Bound, Interval
from edgegate.stages.loops import is_mark, through

STATE = Interval(low=-(1 << 23) + 1, high=(1 << 23) - 1)
"""What a state of 24 bits holds."""


def bound(mark: ir.Node, known: Mapping[ir.Value, Interval]) -> Bound:
    """The bounds of the outputs of a Begin or End.

    Args:
        mark: The node.
        known: Those of all values before it.

    Raises:
        OverflowError: A state may leave the range that it was taken to have.
    """
    found, states = [], int(attribute(mark, "states"))
    for index, (before, after) in enumerate(through(mark)):
        interval = known[before]
        if index < states:
            held = _taken(after, interval) if mark.op_type == "Begin" else known[_begin(mark).outputs[index]]
            if interval.low < held.low or interval.high > held.high:
                reach = f"[{interval.low}, {interval.high}]"
                raise OverflowError(f"the state {after.name} reaches {reach} outside of [{held.low}, {held.high}]")
            interval = held
        found.append(Interval(low=interval.low, high=interval.high))
    return Bound(output=found[0], more=tuple(found[1:]))


def _taken(state: ir.Value, initial: Interval) -> Interval:
    """What a state is taken to hold."""
    assert state.dtype is not None, "every value of an integer model has a type"
    short = state.dtype == ir.DataType.INT32 and STATE.low <= initial.low and initial.high <= STATE.high
    return STATE if short else Interval.of_dtype(state.dtype.numpy())


def _begin(end: ir.Node) -> ir.Node:
    assert end.graph is not None, "the node is in a graph"
    return next(n for n in end.graph if is_mark(n) and attribute(n, "loop") == attribute(end, "loop"))
