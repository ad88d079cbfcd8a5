"""Every scalar function becomes one node with a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, constant, replace, shape, states
from edgegate.passes import _activations
from edgegate.passes._chains import Chain, chains
from edgegate.passes._formula import formula, text
from edgegate.passes._functions import UNARY, add
from edgegate.passes._rewrite import put
from edgegate.passes.fold_affine import channel_axis
from edgegate.passes.to_affine import put_affine
from edgegate.quant.scalar_ops import evaluate

Meaning = Callable[[Array], Array]


def name_unary(model: ir.Model) -> None:
    """Turn each scalar function of one value into one node, however it was written.

    ``x * sigmoid(x)`` becomes ``edgegate.unary::SiLU(x)``: an ONNX function holds the formula, constants
    inside, and the op is named after the activation that it equals, or ``Scalar_<n>``. Equal functions
    share one op. Values that something else reads stay.

    What only clips becomes Relu or Clip, and those two, standing alone, are left as they are: the op before
    them clips for nothing. A line ``a * x + b`` of what a layer makes for it alone becomes an Affine,
    which is folded into the layer later; one of a state, so that a decay is a factor, and none of 16 bits.
    """
    found = [c for c in chains(model) if len(c.nodes) > 1 or c.nodes[0].op_type not in ("Relu", "Clip")]
    formulas = [formula(chain, model.opset_imports[""]) for chain in found]  # before the graph changes
    now: dict[ir.Value, ir.Value] = {}
    for chain, function in zip(found, formulas, strict=True):
        now[chain.end] = _rewrite(model, chain, function, now.get(chain.root, chain.root))
        for node in reversed(chain.nodes[:-1]):
            if node.graph is not None and not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
                model.graph.remove(node, safe=True)


def _rewrite(model: ir.Model, chain: Chain, function: ir.Function, root: ir.Value) -> ir.Value:
    """Put one node in the place of the chain's last; returns what stands for its end now."""
    meaning, last = partial(evaluate, function), chain.nodes[-1]
    bounds = _activations.bounds(meaning)
    if bounds is not None:
        return _clip(model, last, root, *bounds)
    axis = _channels(model, chain, root)
    line = None if axis is None else _activations.line(meaning)
    if axis is not None and line is not None:
        scale, bias = (np.full(shape(root)[axis], part) for part in line)
        return put_affine(model, last, root, axis, scale, bias).outputs[0]
    function.name = _name(model, function)
    add(model, function)
    return put(last, function.name, [root], domain=UNARY).outputs[0]


def _clip(model: ir.Model, node: ir.Node, root: ir.Value, low: float, high: float) -> ir.Value:
    """Put Clip or Relu in the place of ``node``, or nothing; infinite bounds do not clip."""
    if (low, high) == (-np.inf, np.inf):
        if node.outputs[0].is_graph_output():
            return put(node, "Identity", [root]).outputs[0]
        replace(node, root)
        return root
    if (low, high) == (0, np.inf):
        return put(node, "Relu", [root]).outputs[0]
    name = node.outputs[0].name
    ends = [
        constant(model, f"{name}.{what}", np.array(value + 0.0, np.float32)) if np.isfinite(value) else None
        for what, value in (("low", low), ("high", high))
    ]
    return put(node, "Clip", [root, *ends]).outputs[0]


def _channels(model: ir.Model, chain: Chain, root: ir.Value) -> int | None:
    """The axis of the channels of what a layer makes for the chain alone, or of a state; None for anything else."""
    layer = root.producer()
    if layer is None:
        return int(np.argmax(shape(root))) if shape(root) and root.name in dict(states(model)) else None
    if root.is_graph_output() or not {user for user, _ in root.uses()} <= set(chain.nodes):
        return None
    return channel_axis(layer)


def _name(model: ir.Model, function: ir.Function) -> str:
    """The activation's name, that of an equal function in the model, or the next free number."""
    known = _activations.name(partial(evaluate, function))
    if known is not None:
        return known
    others = [f for f in model.functions.values() if f.domain == UNARY and f.name.startswith("Scalar_")]
    equal = (other.name for other in others if text(other) == text(function))
    return next(equal, f"Scalar_{len(others) + 1}")
