"""What each op needs of its inputs so that its output comes out scaled per channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.quant.folds._labels import Ties, varies
from edgegate.quant.folds._scalars import is_homogeneous
from edgegate.quant.folds._walk import Change, Rule, Step


def scaling(model: ir.Model) -> Rule:
    """The rule of positive scales.

    Every op in it is linear in the inputs that it makes demands of, or commutes with positive factors. Gates
    pass a scale on to their value, never to the gate.
    """

    def rule(ties: Ties, node: ir.Node, labels: list[Array]) -> Step | None:
        if node.domain == f"{DOMAIN}.unary":
            keeps = is_homogeneous(model.functions[node.op_identifier()])
            return Step(demands={0: labels[0]}) if keeps else None
        if node.domain == f"{DOMAIN}.gate":
            return _operands(ties, node, labels[0], [0])
        step = _STEPS.get((node.domain, node.op_type))
        return None if step is None else step(ties, node, labels[0])

    return rule


def _operands(ties: Ties, node: ir.Node, labels: Array, indices: list[int]) -> Step:
    """The same scale for these operands, which are broadcast."""
    step = Step()
    for index in indices:
        value = node.inputs[index]
        assert value is not None, "arithmetic has two operands"
        if array(value) is None:
            step.demands[index] = ties.shrink(labels, shape(value))
        else:
            step.changes.append(Change(node=node, index=index, labels=_least(labels, len(shape(value)))))
    return step


def _least(labels: Array, rank: int) -> Array:
    """The labels with size 1 along each axis where they do not differ, and at least ``rank`` axes."""
    for axis in range(labels.ndim):
        if not varies(labels, axis):
            labels = np.take(labels, [0], axis=axis)
    while labels.ndim > rank and labels.shape[0] == 1:
        labels = labels[0]
    return labels


def _parameters(ties: Ties, node: ir.Node, labels: Array, indices: list[int]) -> Step | None:
    """Constants that are broadcast to the output as they are."""
    step = Step()
    for index in indices:
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None:
            if array(value) is None:
                return None
            step.changes.append(Change(node=node, index=index, labels=ties.shrink(labels, shape(value))))
    return step if step.changes and step.changes[0].index == indices[0] else None


def _affine(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    return _parameters(ties, node, labels, [1, 2])


def _channels(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    """Constants [channels, ...] of an op whose channels are axis 1."""
    row = ties.over(labels, [a for a in range(labels.ndim) if a != 1]).ravel()
    step = Step()
    for index in (1, 2):
        data = array(node.inputs[index]) if index < len(node.inputs) else None
        if data is None or data.shape[0] != row.size:
            if index == 2 and (len(node.inputs) == 2 or node.inputs[2] is None):
                break
            return None
        step.changes.append(Change(node=node, index=index, labels=row.reshape(-1, *[1] * (data.ndim - 1))))
    return step


def _linear(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    row = ties.over(labels, range(labels.ndim - 1)).ravel()
    if any(array(v) is None for v in node.inputs[1:]):
        return None
    return Step(changes=[Change(node=node, index=index, labels=row) for index in (1, 2)])


def _product(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    """A constant factor takes the scale, unless it would have to grow beyond one entry for each channel."""
    constants = [i for i, v in enumerate(node.inputs) if array(v) is not None]
    if len(constants) != 1 or (node.op_type == "Div" and constants == [0]):
        return None
    if node.op_type == "Div":
        return _operands(ties, node, labels, [0])
    data = array(node.inputs[constants[0]])
    assert data is not None
    grown = np.broadcast_shapes(data.shape, _least(labels, data.ndim).shape)
    absorbs = np.prod(grown, dtype=np.int64) <= max(data.size, ties.channels)
    return _operands(ties, node, labels, constants if absorbs else [1 - constants[0]])


def _same(ties: Ties, node: ir.Node, labels: Array) -> Step:
    return Step(demands={0: labels})


def _slopes(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    return None if array(node.inputs[1]) is None else Step(demands={0: labels})


def _both(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    return _operands(ties, node, labels, [0, 1]) if len(node.inputs) == 2 else None


def _window(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    """Ops that mix places, never channels."""
    source = node.inputs[0]
    assert source is not None, "an op on places has a source"
    dims = shape(source)
    crops = attribute(node, "coordinate_transformation_mode") == "tf_crop_and_resize"  # then it may add a constant
    if crops or dims[:2] != labels.shape[:2]:
        return None
    return Step(demands={0: np.broadcast_to(ties.over(labels, range(2, labels.ndim)), dims)})


def _reduction(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    source, axes = node.inputs[0], array(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or source is None or not axes.size:
        return None
    dims = shape(source)
    kept = [1 if a in {int(i) % len(dims) for i in axes.ravel()} else size for a, size in enumerate(dims)]
    return Step(demands={0: np.broadcast_to(labels.reshape(kept), dims)})


def _matmul(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    """``A @ B``: a scale of columns is one of B's columns, a scale of rows one of A's rows."""
    if any(v is None or len(shape(v)) < 2 for v in node.inputs):
        return None
    index, across = (1, -2) if not varies(labels, -2) or varies(labels, -1) else (0, -1)
    value = node.inputs[index]
    assert value is not None
    thin = ties.over(labels, [labels.ndim + across])
    dims = list(shape(value))
    size, dims[across] = dims[across], 1
    thin = ties.shrink(thin, dims)
    if array(value) is not None:
        return Step(changes=[Change(node=node, index=index, labels=thin)])
    dims[across] = size
    return Step(demands={index: np.broadcast_to(thin, dims)})


def _attention(ties: Ties, node: ir.Node, labels: Array) -> Step | None:
    """``Attention`` of opset 23: the channels of the output are the channels of V, for each head that reads it."""
    value = node.inputs[2]
    has_past = len(node.inputs) > 5 and node.inputs[5] is not None
    if value is None or array(value) is not None or has_past or any(v.uses() for v in node.outputs[1:3]):
        return None
    dims = shape(value)
    if len(dims) == 3:
        heads, kv_heads = (int(attribute(node, f"{of}_num_heads")) for of in ("q", "kv"))
        split = labels.reshape(labels.shape[0], -1, kv_heads, heads // kv_heads, dims[2] // kv_heads)
        return Step(demands={2: np.broadcast_to(ties.over(split, [1, 3]).reshape(dims[0], 1, dims[2]), dims)})
    batch, heads, length, size = labels.shape
    split = labels.reshape(batch, dims[1], heads // dims[1], length, size)
    return Step(demands={2: np.broadcast_to(ties.over(split, [2, 3])[:, :, 0], dims)})


_STEPS: dict[tuple[str, str], Callable[[Ties, ir.Node, Array], Step | None]] = {
    (DOMAIN, "Linear"): _linear,
    (DOMAIN, "Affine"): _affine,
    **dict.fromkeys([("", op) for op in ("LayerNormalization", "RMSNormalization")], _affine),
    **dict.fromkeys(
        [("", op) for op in ("Conv", "InstanceNormalization", "GroupNormalization", "BatchNormalization")], _channels
    ),
    **dict.fromkeys([("", op) for op in ("Mul", "Div")], _product),
    **dict.fromkeys([("", op) for op in ("Add", "Sub", "Max", "Min")], _both),
    **dict.fromkeys([("", op) for op in ("Relu", "LeakyRelu", "Abs", "Neg")], _same),
    ("", "PRelu"): _slopes,
    **dict.fromkeys(
        [("", f"{which}{op}") for which in ("", "Global") for op in ("AveragePool", "MaxPool")], _window
    ),
    ("", "Resize"): _window,
    **dict.fromkeys([("", f"Reduce{op}") for op in ("Mean", "Sum", "Max", "Min")], _reduction),
    ("", "MatMul"): _matmul,
    ("", "Attention"): _attention,
}  # fmt: skip
