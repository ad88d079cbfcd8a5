"""Reading open code: what is the root of a sum of squares, over which axes, of what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, shape
from edgegate.passes._rewrite import operand, operands

FAINT = 1e-3
"""Largest constant beside a root of a mean that stands for the one below it: it is there against zeros alone."""
_SAME = ("Reshape", "Squeeze", "Unsqueeze", "Expand", "Identity")


@dataclass(frozen=True, kw_only=True)
class Squares:
    """factor * (sum of x^2 over some axes) + epsilon.

    Attributes:
        x: What is squared.
        axes: Of ``x``, sorted.
        factor: 1 over the number of elements for a mean.
        epsilon: Not negative.
    """

    x: ir.Value
    axes: tuple[int, ...]
    factor: float = 1.0
    epsilon: float = 0.0

    @property
    def size(self) -> int:
        """Elements of each sum."""
        return prod(shape(self.x)[axis] for axis in self.axes)


def inverse_root(value: ir.Value) -> Squares | None:
    """The squares s where ``value`` is 1 / sqrt(s); None if it is anything else."""
    value = _behind_moves(value)
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type == "Reciprocal":
        return root(operand(node))
    if node.op_type == "Div" and _number(operand(node)) == 1:
        return root(operand(node, 1))
    return squares(operand(node)) if node.op_type == "Pow" and _number(operand(node, 1)) == -0.5 else None


def root(value: ir.Value) -> Squares | None:
    """The squares s where ``value`` is sqrt(s), as good as: a faint constant beside the root goes below it."""
    value = _behind_moves(value)
    node = value.producer()
    if node is None or node.domain:
        return None
    match node.op_type:
        case "Sqrt":
            return squares(operand(node))
        case "Pow":
            return squares(operand(node)) if _number(operand(node, 1)) == 0.5 else None
        case "ReduceL2":
            return _reduced(node, operand(node))
        case "Clip" | "Max":
            return _faint(root(operand(node)), _number(node.inputs[1]))
        case _:
            return _scaled_root(node)


def _scaled_root(node: ir.Node) -> Squares | None:
    both = operands(node)
    number = None if both is None or both[1].size != 1 else float(both[1].reshape(()))
    inner = None if both is None or number is None else root(both[0])
    if inner is None or number is None:
        return None
    if node.op_type == "Add":
        return _faint(inner, number)
    if node.op_type in ("Mul", "Div") and number > 0 and operand(node) is not None:
        ratio = number if node.op_type == "Mul" else 1 / number
        return replace(inner, factor=inner.factor * ratio**2, epsilon=inner.epsilon * ratio**2)
    return None


def _faint(found: Squares | None, number: float | None) -> Squares | None:
    """``found`` with a number beside its root, if that is small against a mean square of 1."""
    if found is None or number is None or not 0 <= number <= FAINT * (found.factor * found.size) ** 0.5:
        return None
    return replace(found, epsilon=found.epsilon + number**2)


def squares(value: ir.Value) -> Squares | None:
    """``value`` as a sum or mean of squares with constants; None if it is anything else."""
    value = _behind_moves(value)
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type in ("ReduceMean", "ReduceSum"):
        x = _squared(operand(node))
        return None if x is None else _reduced(node, x)
    if node.op_type == "ReduceSumSquare":
        return _reduced(node, operand(node))
    both = operands(node)
    number = None if both is None or both[1].size != 1 else float(both[1].reshape(()))
    inner = None if both is None or number is None else squares(both[0])
    if inner is None or number is None or number < 0:
        return None
    match node.op_type:
        case "Add":
            return replace(inner, epsilon=inner.epsilon + number)
        case "Mul" if number > 0:
            return replace(inner, factor=inner.factor * number, epsilon=inner.epsilon * number)
        case "Div" if number > 0 and array(operand(node)) is None:
            return replace(inner, factor=inner.factor / number, epsilon=inner.epsilon / number)
    return None


def _squared(value: ir.Value) -> ir.Value | None:
    """What ``value`` is the square of."""
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type == "Mul" and operand(node) is operand(node, 1):
        return operand(node)
    return operand(node) if node.op_type == "Pow" and _number(operand(node, 1)) == 2 else None


def _reduced(node: ir.Node, x: ir.Value) -> Squares | None:
    axes = reduced_axes(node)
    if not axes:
        return None
    found = Squares(x=x, axes=axes)
    return replace(found, factor=1 / found.size) if node.op_type == "ReduceMean" else found


def reduced_axes(node: ir.Node) -> tuple[int, ...]:
    """The axes that a reduction is over, sorted; none where they are not constant."""
    axes = array(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(shape(operand(node)))
    return () if axes is None else tuple(sorted(int(axis) % rank for axis in axes.reshape(-1)))


def _behind_moves(value: ir.Value) -> ir.Value:
    """What ``value`` is with other axes of length one, or repeated."""
    while (node := value.producer()) is not None and node.op_type in _SAME and not node.domain:
        value = operand(node)
    return value


def centred(value: ir.Value) -> tuple[ir.Value, tuple[int, ...]] | None:
    """What ``value`` is less its mean, and over which axes; None if it is anything else."""
    node = value.producer()
    if node is None or node.domain or node.op_type != "Sub":
        return None
    mean = _behind_moves(operand(node, 1)).producer()
    if mean is None or mean.domain or mean.op_type != "ReduceMean" or operand(mean) is not operand(node):
        return None
    return operand(node), reduced_axes(mean)


def _number(value: ir.Value | None) -> float | None:
    data = array(value)
    return float(np.asarray(data).reshape(())) if data is not None and data.size == 1 else None
