"""A product that is summed over an axis is a matrix product."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, matches, only_user, shape
from edgegate.passes._contraction import Moves, Term, contract
from edgegate.passes._rewrite import is_float, operand


def sums_to_products(model: ir.Model) -> None:
    """Turn ``ReduceSum(a * b)``, at most one of them constant, into a MatMul with the moves that it takes.

    So write linear attention and state space models how they read their state, S^T q: (S * q[:, None]).sum(0). As a
    matrix product it is summed exactly and rounded once. An axis summed over must be longer than one in both.
    """
    for node in matches(model, "ReduceSum"):
        source, axes = operand(node), array(node.inputs[1]) if len(node.inputs) > 1 else None
        maker = source.producer()
        if maker is None or maker.op_type != "Mul" or maker.domain or axes is None or only_user(source) is not node:
            continue
        a, b = operand(maker), operand(maker, 1)
        summed = {int(axis) % len(shape(source)) for axis in axes}
        if a is b or not all(is_float(v) for v in (a, b)) or all(array(v) is not None for v in (a, b)):
            continue
        if all(_reach(v, shape(source)) >= summed for v in (a, b)):
            _replace(model, node, a, b, summed)


def _reach(value: ir.Value, full: tuple[int, ...]) -> set[int]:
    """The axes of the broadcast shape ``full`` along which ``value`` differs."""
    first = len(full) - len(shape(value))
    return {first + i for i, d in enumerate(shape(value)) if d > 1 or full[first + i] == 1}


def _replace(model: ir.Model, node: ir.Node, a: ir.Value, b: ir.Value, summed: set[int]) -> None:
    moves, full = Moves.of(model, node), shape(operand(node))
    terms = []
    for value, part in ((a, "first"), (b, "second")):
        labels = sorted(_reach(value, full))
        terms.append(Term(value=moves.reshape(value, [full[i] for i in labels], part), labels=tuple(labels)))
    out = [i for i in range(len(full)) if any(i in t.labels for t in terms) and i not in summed]
    moves.finish(contract(moves, terms[0], terms[1], out).value)
