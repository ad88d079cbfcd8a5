"""Comparisons with constants that gates read become thresholds, as near to the input as they can be."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, array, constant, insert, matches, only_user, replace, shape
from edgegate.passes._functions import declare
from edgegate.passes.drop_unused import drop_unused
from edgegate.quant.bits import reaches_gates

COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
MIRRORED = {"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
"""What a comparison is with its sides exchanged."""


def to_threshold(model: ir.Model) -> None:
    """Turn a comparison with constants, cast to float, into ``edgegate.Threshold`` where gates read it.

    ``x >= t`` is ``x > t'`` for t' the float32 before t; ``x < t`` is the inverse of ``x >= t``, a table of one input.
    Then a Reshape between an input of the model and its Threshold goes behind that, so that it is an edge: what is
    compared at the edge is not rounded.
    """
    for node in matches(model, *COMPARISONS):
        _compare(model, node)
    drop_unused(model)  # what was compared before: another reader of the input
    for node in matches(model, "Threshold", domain=DOMAIN):
        _hoist(model, node)


def _compare(model: ir.Model, node: ir.Node) -> None:
    kind, (x, limit) = node.op_type, node.inputs
    if array(x) is not None:
        kind, x, limit = MIRRORED[kind], limit, x
    data, cast = array(limit), only_user(node.outputs[0])
    if x is None or data is None or array(x) is not None or x.dtype != ir.DataType.FLOAT or not np.isfinite(data).all():
        return
    if cast is None or cast.op_type != "Cast" or not reaches_gates(cast.outputs[0]):
        return
    dims, name = shape(cast.outputs[0]), str(cast.outputs[0].name)
    limits = data if kind in ("Greater", "LessOrEqual") else np.nextafter(data, np.float32(-np.inf), dtype=np.float32)
    limits = np.asarray(limits, np.float32)
    if shape(x) == dims:
        limits, made = np.atleast_1d(limits)[..., None], (*dims, 1)
    elif shape(x) == (*dims[:-1], 1) and limits.shape[-1:] == dims[-1:]:
        x, made = _reshaped(model, cast, _before(x, dims[:-1]), dims[:-1], f"{name}.whole"), dims
    else:
        return
    declare(model, DOMAIN, "Threshold")
    given = [x, constant(model, f"{name}.thresholds", limits)]
    bits = insert(cast, "Threshold", given, name=f"{name}.bits", dtype=ir.DataType.FLOAT, dims=made)
    bits = _reshaped(model, cast, bits, dims, f"{name}.flat")
    if kind in ("Less", "LessOrEqual"):
        bits = _inverted(model, cast, bits, name)
    replace(cast, bits)
    bits.name = name
    model.graph.remove(node, safe=True)


def _before(x: ir.Value, dims: tuple[int, ...]) -> ir.Value:
    """What ``x`` was before it got an axis of length one for its thresholds, if that had the shape ``dims``, or any."""
    node = x.producer()
    if node is None or node.domain or node.op_type not in ("Unsqueeze", "Reshape"):
        return x
    source = node.inputs[0]
    assert source is not None, "a move has an input"
    return source if node.op_type == "Reshape" or shape(source) == dims else x


def _inverted(model: ir.Model, anchor: ir.Node, bits: ir.Value, name: str) -> ir.Value:
    """1 - bits, as tables of one input along the last axis."""
    declare(model, DOMAIN, "Lut")
    width = shape(bits)[-1]
    indices = constant(model, f"{name}.indices", np.arange(width, dtype=np.int64)[:, None])
    tables = constant(model, f"{name}.tables", np.tile(np.array([[1, 0]], np.uint8), (width, 1)))
    given = [bits, indices, tables]
    return insert(anchor, "Lut", given, name=f"{name}.inverted", dtype=ir.DataType.FLOAT, dims=shape(bits))


def _reshaped(model: ir.Model, anchor: ir.Node, x: ir.Value, dims: tuple[int, ...], name: str) -> ir.Value:
    if shape(x) == dims:
        return x
    target = constant(model, f"{name}.dims", np.array(dims, np.int64))
    return insert(
        anchor, "Reshape", [x, target], {"allowzero": 0}, domain="", name=name, dtype=ir.DataType.FLOAT, dims=dims
    )


def _hoist(model: ir.Model, node: ir.Node) -> None:
    """Compare an input of the model before its samples are reshaped."""
    x, limits, output = node.inputs[0], array(node.inputs[1]), node.outputs[0]
    move = None if x is None else x.producer()
    if x is None or limits is None or move is None or move.op_type != "Reshape" or only_user(x) is not node:
        return
    source = move.inputs[0]
    if source is None or not source.is_graph_input() or only_user(source) is not move:
        return
    dims, inner = shape(source), shape(x)
    if dims[0] != inner[0] or (limits.ndim > len(inner) and limits.shape[-len(inner) - 1] > 1):
        return
    bits = limits.shape[-1]
    if limits.size > bits:
        limits = np.broadcast_to(limits, (1, *inner[1:], bits)).reshape(1, *dims[1:], bits)
    name = str(output.name)
    given = [source, constant(model, f"{name}.thresholds", limits.reshape(-1) if limits.size == bits else limits)]
    made = insert(node, "Threshold", given, name=f"{name}.bits", dtype=ir.DataType.FLOAT, dims=(*dims, bits))
    flat = _reshaped(model, node, made, shape(output), f"{name}.flat")
    replace(node, flat)
    flat.name = name
    model.graph.remove(move, safe=True)
