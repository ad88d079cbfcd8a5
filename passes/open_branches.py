"""Both branches of an If are computed, and one of them is chosen."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import array, attribute, insert, matches, replace, shape, where
from edgegate.passes._bodies import opened

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")


def open_branches(model: ir.Model) -> None:
    """Turn each If into its two branches and a Where for each output; into one branch if its condition is constant.

    Branches are functions of what they read, so computing one for nothing changes nothing.

    Raises:
        CompileError: The branches make outputs of different shapes, or random ones.
    """
    while found := matches(model, "If"):
        for index, node in enumerate(found):
            _open(model, node, f"{node.name or 'if'}.{index}")


def _open(model: ir.Model, node: ir.Node, name: str) -> None:
    condition = node.inputs[0]
    assert condition is not None and node.graph is not None, "an If has a condition"
    data = array(condition)
    kept = ("then_branch", "else_branch") if data is None else ("then_branch" if data.item() else "else_branch",)
    sides = []
    for branch in kept:
        nodes, results = opened(model, attribute(node, branch), f"{name}.{branch.removesuffix('_branch')}")
        if any(n.op_type in RANDOM for n in nodes):
            raise CompileError(where(node), "a branch draws random numbers", "take them as an input")
        node.graph.insert_before(node, nodes)
        sides.append(results)
    if len(sides) == 1:
        return replace(node, *(_own(node, v) for v in sides[0]))
    return replace(node, *(_chosen(node, condition, a, b) for a, b in zip(*sides, strict=True)))


def _own(node: ir.Node, value: ir.Value) -> ir.Value:
    """``value``, by a node of its own if it comes from outside of the branch."""
    assert value.dtype is not None, "values have a type"
    name = f"{node.name}.{value.name}.same"
    return insert(node, "Identity", [value], domain="", name=name, dtype=value.dtype, dims=shape(value))


def _chosen(node: ir.Node, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    if shape(a) != shape(b) or a.dtype != b.dtype or a.dtype is None:
        what = f"its branches make outputs of different shapes or types: {a.shape} and {b.shape}"
        raise CompileError(where(node), what, "let both branches return tensors of one shape")
    name = f"{node.name}.{a.name}.chosen"
    return insert(node, "Where", [condition, a, b], domain="", name=name, dtype=a.dtype, dims=shape(a))
