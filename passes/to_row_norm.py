"""Norms over activations become RowNorm, whatever they were written as.

    y = c / sqrt(sum(c^2) / (n if mean else 1) + epsilon),    c = x - mean(x) if centre else x

over the last axis, of n elements. A layer norm is centre and mean, an RMS norm mean alone, an L2 norm neither; group
and instance norms are layer norms of a Reshape. Gains and offsets follow as Mul and Add.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, array, attribute, constant, insert, matches, replace, shape
from edgegate.passes._functions import declare
from edgegate.passes._rewrite import is_float, operand
from edgegate.passes._row_sums import Squares, centred, inverse_root, root

NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "GroupNormalization",
         "InstanceNormalization", "MeanVarianceNormalization", "LpNormalization")  # fmt: skip


def to_row_norm(model: ir.Model) -> None:
    """Find them; a node is only looked at where its result is a float of static shape."""
    declare(model, DOMAIN, "RowNorm")
    for node in matches(model, *NORMS):
        if is_float(operand(node)):
            _named(model, node)
    for node in matches(model, "Mul", "Div"):
        if is_float(node.outputs[0]) and len(node.inputs) == 2:
            _open_code(model, node)


def _named(model: ir.Model, node: ir.Node) -> None:
    x = operand(node)
    dims, rank = shape(x), len(shape(x))
    epsilon = float(attribute(node, "epsilon", 1e-5))
    axis = int(attribute(node, "axis", -1)) % rank
    match node.op_type:
        case "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization":
            kind = (int(node.op_type == "LayerNormalization"), 1)
            y = _norm(model, node, x, tuple(range(axis, rank)), epsilon, kind)
            _gain(model, node, y, 0)
        case "GroupNormalization" | "InstanceNormalization":
            groups = int(attribute(node, "num_groups", dims[1]))
            parts = _reshaped(model, node, x, (dims[0], groups, prod(dims[1:]) // groups), "groups")
            y = _norm(model, node, parts, (2,), epsilon, (1, 1))
            _gain(model, node, _reshaped(model, node, y, dims, "whole"), rank - 2)
        case "MeanVarianceNormalization":
            axes = tuple(sorted(int(a) % rank for a in attribute(node, "axes", (0, 2, 3))))
            _finish(node, _norm(model, node, x, axes, 1e-18, (1, 1)))
        case _ if attribute(node, "p", 2) == 2:
            _finish(node, _norm(model, node, x, (axis,), 0.0, (0, 0)))


def _open_code(model: ir.Model, node: ir.Node) -> None:
    for x, other in ((0, 1), (1, 0)) if node.op_type == "Mul" else ((0, 1),):
        source, divisor = operand(node, x), operand(node, other)
        found = inverse_root(divisor) if node.op_type == "Mul" else root(divisor)
        if found is None or shape(source) != shape(node.outputs[0]):
            continue
        if found.x is source or (centred(source) is not None and centred(source) == centred(found.x)):
            _from_squares(model, node, found)
            return


def _from_squares(model: ir.Model, node: ir.Node, found: Squares) -> None:
    """X / sqrt(f S + e) = x / sqrt(S / n + e / (f n)) / sqrt(f n)."""
    source, centre = found.x, 0
    whole = centred(found.x)
    if whole is not None and whole[1] == found.axes:
        source, centre = whole[0], 1
    share = found.factor * found.size
    plain = centre == 0 and np.isclose(found.factor, 1, rtol=1e-6)  # an L2 norm
    epsilon = found.epsilon / (found.factor if plain else share)
    y = _norm(model, node, source, found.axes, epsilon, (centre, 0 if plain else 1))
    ratio = found.factor if plain else share
    if not np.isclose(ratio, 1, rtol=1e-6):
        factor = constant(model, f"{node.outputs[0].name}.factor", np.array(ratio**-0.5, np.float32))
        y = _beside(node, "Mul", [y, factor], "scaled", shape(y))
    _finish(node, y)


def _norm(
    model: ir.Model, node: ir.Node, x: ir.Value, axes: tuple[int, ...], epsilon: float, kind: tuple[int, int]
) -> ir.Value:
    """RowNorm of ``x`` over ``axes``, in its own shape; ``kind`` is (centre, mean)."""
    dims, rank = shape(x), len(shape(x))
    order = [i for i in range(rank) if i not in axes] + list(axes)
    moved, y = [dims[i] for i in order], x
    if order != list(range(rank)):
        y = _beside(node, "Transpose", [y], "rows", moved, {"perm": order})
    rows = [*moved[: rank - len(axes)], prod(dims[i] for i in axes)]
    y = _reshaped(model, node, y, rows, "flat")
    names = {"epsilon": epsilon, "centre": kind[0], "mean": kind[1]}
    y = _beside(node, "RowNorm", [y], "norm", rows, names, domain=DOMAIN)
    y = _reshaped(model, node, y, moved, "wide")
    if order != list(range(rank)):
        back = [order.index(i) for i in range(rank)]
        y = _beside(node, "Transpose", [y], "back", dims, {"perm": back})
    return y


def _gain(model: ir.Model, node: ir.Node, y: ir.Value, trailing: int) -> None:
    """Put ``y`` with the node's gain and offset, followed by so many axes of one, in its place."""
    for index, op_type, nothing in ((1, "Mul", 1), (2, "Add", 0)):
        value = node.inputs[index] if len(node.inputs) > index else None
        data = array(value)
        if value is None or (data is not None and (data == nothing).all()):
            continue
        part = _reshaped(model, node, value, (*shape(value), *[1] * trailing), op_type.lower() + ".by")
        y = _beside(node, op_type, [y, part], "gain" if index == 1 else "offset", shape(y))
    _finish(node, y)


def _finish(node: ir.Node, y: ir.Value) -> None:
    """Let ``y`` take the place of the node's output, and its name."""
    name = node.outputs[0].name
    replace(node, y)
    y.name = name


def _reshaped(model: ir.Model, node: ir.Node, x: ir.Value, dims: tuple[int, ...] | list[int], name: str) -> ir.Value:
    if tuple(dims) == shape(x):
        return x
    data = array(x)
    if data is not None:
        return constant(model, f"{node.outputs[0].name}.{name}", data.reshape(dims))
    sizes = constant(model, f"{node.outputs[0].name}.{name}.dims", np.array(dims, np.int64))
    return _beside(node, "Reshape", [x, sizes], name, dims, {"allowzero": 0})


def _beside(
    node: ir.Node, op_type: str, inputs: list[ir.Value], name: str, dims: tuple[int, ...] | list[int],
    attributes: Mapping[str, object] | None = None, domain: str = "",
) -> ir.Value:  # fmt: skip
    whole = f"{node.outputs[0].name}.{name}"
    dtype = ir.DataType.FLOAT
    return insert(node, op_type, inputs, attributes or {}, domain=domain, name=whole, dtype=dtype, dims=dims)
