"""Minus infinity in the place of scores that must not be chosen becomes a number just below all that can be.

Routers that choose among groups of experts first give the experts of the other groups -inf, and then take the greatest
(DeepSeek-V3). An integer has no infinity; but where the scores are bounded, what is below their bound is never chosen
either. (In front of a softmax such a fill is a mask: other passes see to that.)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, insert, matches, replace, shape

BOUNDED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "GatherElements", "GatherND", "Flatten",
         "Identity", "Expand", "TopK", "ReduceMax", "ReduceMin", "Cast")  # fmt: skip
CHOOSERS = ("TopK", "ArgMax", "ReduceMax")
"""Ops that look for the greatest."""
DEEP = 64
"""Nodes that are looked back at most."""

Bounds = tuple[float, float]


def finite_fills(model: ir.Model) -> None:
    """Give each Where that fills bounded scores with -inf, for a TopK or a maximum to read, a finite fill.

    One in front of an Exp fills behind it instead, with the zero that it means.
    """
    for node in matches(model, "Exp"):
        _fill_behind(model, node)
    for node in matches(model, "Where"):
        for index, other in ((1, 2), (2, 1)):
            data = array(node.inputs[index])
            bounds = None if data is None or not np.isneginf(data).all() else bounds_of(node.inputs[other])
            if bounds is not None and _is_chosen_from(node.outputs[0]):
                low, high = bounds
                fill = np.full_like(data, low - max(high - low, 1e-3) / 8)
                node.replace_input_with(index, constant(model, f"{node.outputs[0].name}.fill", fill))


def _fill_behind(model: ir.Model, node: ir.Node) -> None:
    """exp(x where kept, else -inf) as exp(x where kept, else 0) where kept, else 0: its argument keeps its range."""
    source, output = node.inputs[0], node.outputs[0]
    made = None if source is None else source.producer()
    if made is None or made.domain or made.op_type != "Where" or source is None or output.dtype is None:
        return
    infinite = [(data := array(v)) is not None and bool(np.isneginf(data).all()) for v in made.inputs[1:]]
    if sum(infinite) != 1 or source.is_graph_output() or any(n is not node for n, _ in source.uses()):
        return
    place, name = 1 + infinite.index(True), str(output.name)
    zero = constant(model, f"{name}.zero", np.zeros((), np.float32))
    made.replace_input_with(place, zero)
    parts = [made.inputs[0], zero, zero]
    parts[3 - place] = insert(
        node, "Exp", [source], domain="", name=f"{name}.kept", dtype=output.dtype, dims=shape(output)
    )
    replace(node, insert(node, "Where", parts, domain="", name=f"{name}.cut", dtype=output.dtype, dims=shape(output)))


def _is_chosen_from(value: ir.Value) -> bool:
    """Whether all that reads ``value``, moved or not, looks for the greatest."""
    readers = {id(n): n for n, _ in value.uses()}.values()
    if not readers or value.is_graph_output():
        return False
    return all(
        n.op_type in CHOOSERS or (n.op_type in MOVES and _is_chosen_from(n.outputs[0])) for n in readers if not n.domain
    )


def bounds_of(value: ir.Value | None, depth: int = DEEP) -> Bounds | None:
    """The least and the greatest that ``value`` can be, whatever the input; None if that is not seen."""
    data = array(value)
    if data is not None and data.size and np.isfinite(data).all():
        return float(data.min()), float(data.max())
    node = None if value is None else value.producer()
    if node is None or node.domain or not depth:
        return None
    if node.op_type in BOUNDED:
        return BOUNDED[node.op_type]
    if node.op_type in MOVES:
        return bounds_of(node.inputs[0], depth - 1)
    if node.op_type in ("Add", "Sub", "Mul"):
        return _arithmetic(node.op_type, *(bounds_of(v, depth // 2) for v in node.inputs))
    return None


def _arithmetic(op: str, a: Bounds | None, b: Bounds | None) -> Bounds | None:
    if a is None or b is None:
        return None
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[op]
    ends = [float(function(x, y)) for x in a for y in b]
    return min(ends), max(ends)
