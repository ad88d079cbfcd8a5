"""A softmax that sees a part of each row: its mask becomes a bool, whatever it was written as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, constant, insert, matches, only_user, shape
from edgegate.passes._functions import declare
from edgegate.passes._rewrite import is_float, operand, operands, put

HIDDEN = -100.0
"""An addend of this or less hides: exp(-100) is 2**-144, and -100 is what windowed attention adds."""


def mask_softmax(model: ir.Model) -> None:
    """Turn ``Softmax(x + mask)`` and ``Softmax(Where(keep, x, hidden))`` into ``edgegate.MaskedSoftmax(x, keep)``.

    A constant ``mask`` may have other numbers too, which stay an Add. A row that keeps nothing is 0, where a softmax
    would be NaN; the Where that takes such NaN out again goes with it. Scores that something else is put beside, as a
    sink that takes what attention is left over, are masked as before, and all that is beside them is seen.
    """
    declare(model, DOMAIN, "MaskedSoftmax")
    for node in matches(model, "Softmax"):
        source, keeps = _seen(model, operand(node), node)
        if keeps:
            axis, rank = attribute(node, "axis", -1), len(shape(node.outputs[0]))
            keep = _all(model, node, keeps, f"{node.outputs[0].name}.keep")
            put(node, "MaskedSoftmax", [source, keep], {"axis": int(axis) % rank}, domain=DOMAIN)


def _seen(model: ir.Model, source: ir.Value, reader: ir.Node) -> tuple[ir.Value, list[ir.Value]]:
    """What is left of ``source`` without the masks that hide parts of it, one behind the other, and those masks."""
    maker = source.producer()
    if maker is None or maker.domain or not is_float(source) or only_user(source) is not reader:
        return source, []
    if maker.op_type == "Concat":
        return _beside(model, maker)
    found = _added(model, maker) if maker.op_type in ("Add", "Sub") else _chosen(maker)
    if found is None:
        return source, []
    inner, keeps = _seen(model, found[0], maker)
    return inner, [found[1], *keeps]


def _beside(model: ir.Model, node: ir.Node) -> tuple[ir.Value, list[ir.Value]]:
    """What is left of what a Concat joins without masks, joined, and the masks, joined."""
    output, axis = node.outputs[0], int(attribute(node, "axis")) % len(shape(node.outputs[0]))
    parts = [_seen(model, operand(node, i), node) for i in range(len(node.inputs))]
    if not any(keeps for _, keeps in parts):
        return output, []
    name = f"{output.name}.seen"
    source = insert(
        node, "Concat", [x for x, _ in parts], {"axis": axis}, domain="", name=name, dtype=ir.DataType.FLOAT,
        dims=shape(output),
    )  # fmt: skip
    whole = constant(model, f"{name}.whole", np.ones((), np.bool_))
    keeps = [_all(model, node, keeps, f"{name}.{i}") if keeps else whole for i, (_, keeps) in enumerate(parts)]
    others = list(np.broadcast_shapes(*(_but(shape(keep), len(shape(output)), axis) for keep in keeps)))
    sizes = [shape(x)[axis] for x, _ in parts]
    spread = [
        _expanded(model, node, keep, [*others[:axis], size, *others[axis + 1 :]], f"{name}.keep.{i}")
        for i, (keep, size) in enumerate(zip(keeps, sizes, strict=True))
    ]
    known = [data for data in map(array, spread) if data is not None]
    if len(known) == len(spread):
        return source, [constant(model, f"{name}.keep", np.concatenate(known, axis))]
    dims = [*others[:axis], sum(sizes), *others[axis + 1 :]]
    joined = insert(
        node, "Concat", spread, {"axis": axis}, domain="", name=f"{name}.keep", dtype=ir.DataType.BOOL, dims=dims
    )
    return source, [joined]


def _but(dims: Sequence[int], rank: int, axis: int) -> list[int]:
    """``dims`` at ``rank``, 1 at ``axis``."""
    full = [1] * (rank - len(dims)) + list(dims)
    return [*full[:axis], 1, *full[axis + 1 :]]


def _expanded(model: ir.Model, node: ir.Node, keep: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    data = array(keep)
    if data is not None:
        return constant(model, name, np.ascontiguousarray(np.broadcast_to(data, dims)))
    target = constant(model, f"{name}.shape", np.array(dims, np.int64))
    return insert(node, "Expand", [keep, target], domain="", name=name, dtype=ir.DataType.BOOL, dims=dims)


def _all(model: ir.Model, node: ir.Node, keeps: list[ir.Value], name: str) -> ir.Value:
    """Where every mask keeps: the constant ones in one, and an And for each of the others."""
    if len(keeps) == 1:
        return keeps[0]
    known = [data for data in map(array, keeps) if data is not None]
    left = [v for v in keeps if array(v) is None]
    if known:
        whole = np.ones((), np.bool_)
        for data in known:
            whole = np.logical_and(whole, data)
        left.append(constant(model, name, whole))
    result = left[0]
    for i, value in enumerate(left[1:]):
        dims = np.broadcast_shapes(shape(result), shape(value))
        result = insert(
            node, "And", [result, value], domain="", name=f"{name}.{i}", dtype=ir.DataType.BOOL, dims=dims
        )  # fmt: skip
    return result


def _added(model: ir.Model, node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """What is seen, and where, if the node adds or takes off a constant that hides something."""
    both = operands(node)
    if both is None or (node.op_type == "Sub" and both[0] is not operand(node)):
        return None
    source, data = both[0], -both[1] if node.op_type == "Sub" else both[1]
    if not (data <= HIDDEN).any() or shape(source) != shape(node.outputs[0]):
        return None
    keep = data > HIDDEN
    name = str(node.outputs[0].name)
    rest: Array = np.where(keep, data, 0).astype(np.float32)
    if rest.any():
        addend = constant(model, f"{name}.bias", rest)
        kind, dims = ir.DataType.FLOAT, shape(node.outputs[0])
        source = insert(node, "Add", [source, addend], domain="", name=f"{name}.seen", dtype=kind, dims=dims)
    return source, constant(model, f"{name}.keep", keep)


def _chosen(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """What is seen, and where, if the node chooses between a value and a constant that hides."""
    if node.op_type != "Where":
        return None
    condition, x, other = (operand(node, i) for i in range(3))
    turned = _hides(x)
    seen = other if turned else x
    if not (turned or _hides(other)) or array(seen) is not None or shape(seen) != shape(node.outputs[0]):
        return None
    if turned:
        name, dims = f"{node.outputs[0].name}.keep", shape(condition)
        condition = insert(node, "Not", [condition], domain="", name=name, dtype=ir.DataType.BOOL, dims=dims)
    return seen, condition


def _hides(value: ir.Value) -> bool:
    data = array(value)
    return data is not None and bool((data <= HIDDEN).all())
