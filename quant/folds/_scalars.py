"""Functions of one value that commute with a scale."""

from __future__ import annotations

import onnx_ir as ir

_LINEAR = {"Identity", "Neg"}
_POSITIVE = {*_LINEAR, "Relu", "LeakyRelu", "Abs"}
_BY_A_CONSTANT = {True: ("Div",), False: ("Div", "PRelu")}
"""Ops whose second operand is a constant, by whether they must be linear."""


def is_homogeneous(function: ir.Function, *, linear: bool = False) -> bool:
    """Whether ``f(s * x) == s * f(x)`` for every positive ``s``, by how the function is written.

    Args:
        function: Of one value, as ``edgegate.unary`` holds them: constants inside, everything else of the value.
        linear: Whether it shall hold for every ``s``, and ``f(x + y) == f(x) + f(y)``.
    """
    constants: set[ir.Value] = set()
    for node in function:
        if node.op_type == "Constant":
            constants.add(node.outputs[0])
        elif not _is_step(node, constants, linear):
            return False
    return function.outputs[0] not in constants


def _is_step(node: ir.Node, constants: set[ir.Value], linear: bool) -> bool:
    fixed = [v in constants for v in node.inputs]
    if node.op_type in (_LINEAR if linear else _POSITIVE):
        return fixed == [False]
    if node.op_type == "Mul":
        return sorted(fixed) == [False, True]
    return node.op_type in _BY_A_CONSTANT[linear] and fixed == [False, True]
