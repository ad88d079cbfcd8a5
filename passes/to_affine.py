"""One op scales and shifts channels."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, constant, matches, shape
from edgegate.passes._functions import declare
from edgegate.passes._rewrite import is_float, operands, put

NORM = "edgegate.norm"
"""Metadata key: the moments of the node's output, per channel, as a norm's training left them."""


def to_affine(model: ir.Model) -> None:
    """Turn BatchNormalization, and Add, Sub, Mul with a constant per channel, into ``edgegate.Affine``.

    ``Affine(x, scale, bias) <axis>`` is ``x * scale + bias``; scale and bias are constant, both of shape
    [C, 1, ...] so that they broadcast along ``axis``, which is 1 or the last. What a batch norm becomes
    carries its moments as metadata ``edgegate.norm``: JSON ``{"mean": beta, "std": |gamma|}``.

    A constant of one element is left alone, it may be part of an activation function.
    """
    declare(model, DOMAIN, "Affine")
    for node in matches(model, "BatchNormalization"):
        _from_norm(model, node)
    for node in matches(model, "Add", "Sub", "Mul"):
        _from_arithmetic(model, node)


def _from_norm(model: ir.Model, node: ir.Node) -> None:
    source = node.inputs[0]
    found = [array(v) for v in node.inputs[1:5]]
    constants = [d.astype(np.float64) for d in found if d is not None]
    if source is None or len(constants) < 4 or len(node.outputs) > 1 or not is_float(source):
        return
    gamma, beta, mean, variance = constants
    scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    affine = put_affine(model, node, source, 1, scale, beta - mean * scale)
    affine.metadata_props[NORM] = json.dumps({"mean": beta.tolist(), "std": np.abs(gamma).tolist()})


def _from_arithmetic(model: ir.Model, node: ir.Node) -> None:
    found = operands(node)
    if found is None or not is_float(found[0]) or shape(found[0]) != shape(node.outputs[0]):
        return
    source, data = found
    axis = _channels(data, shape(source))
    if axis is None:
        return
    values = data.ravel().astype(np.float64)
    ones, zeros = np.ones_like(values), np.zeros_like(values)
    match node.op_type:
        case "Mul":
            scale, bias = values, zeros
        case "Add":
            scale, bias = ones, values
        case _ if node.inputs[0] is source:
            scale, bias = ones, -values
        case _:
            scale, bias = -ones, values
    put_affine(model, node, source, axis, scale, bias)


def _channels(data: Array, dims: tuple[int, ...]) -> int | None:
    """The only axis of ``dims`` along which ``data`` differs, if it is 1 or the last; else None."""
    full = (1,) * (len(dims) - data.ndim) + data.shape
    axes = [i for i, size in enumerate(full) if size != 1]
    return axes[0] if len(axes) == 1 and axes[0] in (1, len(dims) - 1) else None


def put_affine(model: ir.Model, node: ir.Node, source: ir.Value, axis: int, scale: Array, bias: Array) -> ir.Node:
    """Put an Affine of ``source`` in the place of ``node``.

    Args:
        model: Declares Affine.
        node: Its name, dtype and shape stay.
        source: What is scaled.
        axis: The channels' axis, not negative.
        scale: [C].
        bias: [C].
    """
    column = (-1,) + (1,) * (len(shape(source)) - axis - 1)
    name = node.outputs[0].name
    pair = [
        constant(model, f"{name}.{what}", data.astype(np.float32).reshape(column))
        for what, data in (("scale", scale), ("bias", bias))
    ]
    return put(node, "Affine", [source, *pair], {"axis": axis}, domain=DOMAIN)
