"""Products by logarithms: ``exp(W log|x|)``, as neural arithmetic logic units have them (NALU, arXiv 1808.00508).

An exponential makes a relative error of what was an absolute one of its input, and its values spread over decades, of
which 8 bits tell two apart; a logarithm makes an absolute error of what was a relative one near zero. So from before
the one to behind the other all is stored in 16 bits, and even those hold five decades: whoever compiles it is told.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgegate.graph import DOMAIN, array, where
from edgegate.quant.sharing import UNARY, Groups, is_float, is_move

LAYERS = ("Linear", "Conv", "MatMul")


def exponents(model: ir.Model, groups: Groups) -> set[str]:
    """Owners of all from what a logarithm reads, through layers and sums, to what the next layer reads."""
    found, made = set[ir.Value](), set[ir.Value]()
    for node in _products(model):
        found.update(_path(model, node))
        made.update(node.outputs)
    for node in model.graph:
        if made.intersection(v for v in node.inputs if v is not None) and node.op_type not in LAYERS:
            made.update(filter(is_float, node.outputs))
    for node in reversed(list(model.graph)):  # and what is added to those or gates them, back to its layer
        if made.intersection(node.outputs) and node.op_type not in LAYERS:
            made.update(v for v in node.inputs if _computed(v) and v is not None and not v.is_graph_input())
    return {groups.owner(str(v.name)) for v in found | made}


def warnings(model: ir.Model) -> list[str]:
    """A sentence about each exponential of sums of logarithms."""
    text = "multiplies by logarithms: its results spread over decades, of which 16 bits hold five; compare with float"
    return [f"{where(node)} {text}" for node in _products(model)]


def _products(model: ir.Model) -> Iterator[ir.Node]:
    for node in model.graph:
        if _ends_in(model, node, "Exp") and _path(model, node):
            yield node


def _path(model: ir.Model, node: ir.Node) -> list[ir.Value]:
    """The values from what logarithms read to ``node``; none if there is no layer in between, or no logarithm."""
    waiting, met, summed, logarithms = [v for v in node.inputs if _computed(v)], list[ir.Value](), False, False
    while waiting:
        value = waiting.pop()
        maker = None if value is None else value.producer()
        if value is None or value in met or maker is None:
            continue
        met.append(value)
        if _ends_in(model, maker, "Log"):
            logarithms = True
            met += [v for v in maker.inputs if _computed(v) and v is not None]
        elif _is_sum(maker):
            summed |= maker.op_type == "Linear"
            waiting += [v for v in maker.inputs if _computed(v)]
    return met if summed and logarithms else []


def _is_sum(node: ir.Node) -> bool:
    known = {(DOMAIN, "Linear"), (DOMAIN, "Affine"), ("", "Add"), ("", "Sub"), ("", "Clip"), ("", "Relu")}
    return (node.domain, node.op_type) in known or is_move(node)


def _computed(value: ir.Value | None) -> bool:
    return is_float(value) and array(value) is None


def _ends_in(model: ir.Model, node: ir.Node, op_type: str) -> bool:
    """Whether a scalar function's last op is this one."""
    function = model.functions.get(node.op_identifier()) if node.domain == UNARY else None
    last = None if function is None else function.outputs[0].producer()
    return last is not None and last.op_type == op_type
