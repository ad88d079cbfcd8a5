"""Products of two activations are gates, and each has a name."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from edgegate.graph import array, matches, shape
from edgegate.passes import _activations
from edgegate.passes._ancestry import argument, halves_of_one, is_normed, maker, mixes_tokens, projected_from
from edgegate.passes._functions import GATE, UNARY, declare
from edgegate.passes._rewrite import is_float, put
from edgegate.quant.scalar_ops import evaluate


def name_gates(model: ir.Model) -> None:
    """Turn every product of two activations into a node ``edgegate.gate::<kind>(value, gate)``.

    - ``Reduce``: the gate has fewer elements and is broadcast, over space (SE, ECA), over channels
      (spatial attention) or over both. Family F4.
    - ``Paired``: value and gate are projections of a common ancestor (GLU, gated convolution, bilinear).
      Family F2, or F5 where a factor is projected along the tokens.
    - ``Masked``: value and gate are made by two masked halves of one matrix. Family F3.
    - ``Product``: any other. Family F14 where the value comes from a norm, else none.

    Of two factors of one shape the gate is the one with values within [0, 1], else the one with an
    activation function, else the second. Attributes: ``family``, and the names of the activation
    functions that made the factors (``activation`` the gate's, ``value_activation``), "" for none.
    """
    for node in matches(model, "Mul"):
        first, second = node.inputs
        if first is None or second is None or not _is_product(first, second):
            continue
        value, gate = _roles(model, node, first, second)
        kind, family = _kind(node, value, gate)
        declare(model, GATE, kind)
        attributes = {"family": family, "activation": _activation(gate), "value_activation": _activation(value)}
        put(node, kind, [value, gate], attributes, domain=GATE)


def _is_product(first: ir.Value, second: ir.Value) -> bool:
    return is_float(first) and is_float(second) and array(first) is None and array(second) is None


def _roles(model: ir.Model, node: ir.Node, first: ir.Value, second: ir.Value) -> tuple[ir.Value, ir.Value]:
    """(value, gate)."""
    full = shape(node.outputs[0])
    if (shape(first) == full) != (shape(second) == full):
        return (first, second) if shape(first) == full else (second, first)
    return (second, first) if _gateness(model, first) > _gateness(model, second) else (first, second)


def _gateness(model: ir.Model, value: ir.Value) -> int:
    node = maker(value)
    if node is None or not _activation(value):
        return 0
    if node.domain != UNARY:
        return 1
    function = model.functions[node.op_identifier()]
    return 2 if _activations.is_bounded(partial(evaluate, function)) else 1


def _activation(value: ir.Value) -> str:
    """The name of the activation function that made ``value``, or "" if none did."""
    node = maker(value)
    if node is None:
        return ""
    if node.domain == UNARY:
        return node.op_type
    return {"Relu": "ReLU", "Clip": "Clip"}.get(node.op_type, "") if node.domain == "" else ""


def _kind(node: ir.Node, value: ir.Value, gate: ir.Value) -> tuple[str, str]:
    """The op's name and its family."""
    if shape(value) != shape(gate):
        one_is_full = shape(node.outputs[0]) in (shape(value), shape(gate))
        return ("Reduce", "F4") if one_is_full else ("Product", "")
    above, beside = projected_from(gate), projected_from(value)
    gates_itself = argument(value) in above or argument(gate) in beside  # x * act(project(x))
    if halves_of_one(value, gate):
        return "Masked", "F3"
    if above & beside and not gates_itself:
        return "Paired", "F5" if mixes_tokens(gate) or mixes_tokens(value) else "F2"
    return "Product", "F14" if is_normed(value) else ""
