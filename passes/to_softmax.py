"""A softmax, or its logarithm, however it is written."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, operands, put
from edgegate.passes._row_sums import reduced_axes
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.mask_softmax import HIDDEN

FAINT = 1e-4
"""Largest constant beside a sum of exponentials of at least 1 that stands for nothing: it is 80 dB below."""


def to_softmax(model: ir.Model) -> None:
    """Turn ``exp(x) / sum(exp(x))`` into Softmax, ``log(softmax(x))`` and ``x - logsumexp(x)`` into LogSoftmax.

    What is the same for a whole row, such as its maximum, may be added to ``x`` or taken off; it goes. A number beside
    the sum is one more element of each row. Any other
    logsumexp becomes what its LogSoftmax takes off the greatest of ``x``. In integers the exponentials of a row are
    relative to its own greatest, where an ``Exp`` by itself has one scale for all rows.
    """
    for node in matches(model, "Div"):
        _quotient(model, node)
    for node in matches(model, "Softmax"):
        _shifted(node)
    for node in matches(model, "Log"):
        maker = operand(node).producer()
        if maker is not None and (maker.domain, maker.op_type) == ("", "Softmax") and is_float(operand(maker)):
            put(node, "LogSoftmax", [operand(maker)], {"axis": _axis(maker)})
    for node in matches(model, "Sub"):
        _difference(node)
    for node in matches(model, "ReduceLogSumExp"):
        _log_sum(model, node)
    drop_unused(model)  # maxima, which would count as readers of what is masked


def _axis(node: ir.Node) -> int:
    return int(attribute(node, "axis", -1)) % len(shape(operand(node)))


def _quotient(model: ir.Model, node: ir.Node) -> None:
    exponential = operand(node)
    maker, found = exponential.producer(), _total(operand(node, 1))
    if maker is None or not is_float(exponential) or (maker.domain, maker.op_type) != ("", "Exp") or found is None:
        return
    total, added, held = found
    axes, source = reduced_axes(total), operand(maker)
    if operand(total) is not exponential or not attribute(total, "keepdims", 1) or len(axes) != 1:
        return
    if added + held == 0 or (added + held <= FAINT and _is_below_its_maximum(source, axes[0])):
        put(node, "Softmax", [_unshifted(source, axes[0])], {"axis": axes[0]})
    elif held == 0:
        _with_one_more(model, node, source, axes[0], added)


def _total(value: ir.Value) -> tuple[ir.Node, float, float] | None:
    """The ReduceSum that a divisor is, and the numbers that are added to it, or that it is at least."""
    added = held = 0.0
    while (maker := value.producer()) is not None and not maker.domain:
        if maker.op_type == "ReduceSum":
            return maker, added, held
        both = operands(maker)
        number = None if both is None or both[1].size != 1 else float(both[1].reshape(()))
        match maker.op_type:
            case "Expand" | "Identity":
                value = operand(maker)
            case "Add" if both is not None and number is not None and number >= 0:
                value, added = both[0], added + number
            case "Max" | "Clip" if both is not None and number is not None and number >= 0:
                value, held = both[0], held + number
            case _:
                return None
    return None


def _with_one_more(model: ir.Model, node: ir.Node, x: ir.Value, axis: int, number: float) -> None:
    """Put ``exp(x) / (number + sum(exp(x)))`` as a Softmax of rows with one more element, log(number), cut off again.

    Source: Miller, "Attention Is Off By One", 2023.
    """
    name, dims, kind = str(node.outputs[0].name), list(shape(x)), ir.DataType.FLOAT
    one = [*dims[:axis], 1, *dims[axis + 1 :]]
    more = constant(model, f"{name}.more", np.full(one, np.log(number), np.float32))
    dims[axis] += 1
    whole = insert(node, "Concat", [x, more], {"axis": axis}, domain="", name=f"{name}.row", dtype=kind, dims=dims)
    shares = insert(node, "Softmax", [whole], {"axis": axis}, domain="", name=f"{name}.all", dtype=kind, dims=dims)
    ends = {"starts": 0, "ends": dims[axis] - 1, "axes": axis, "steps": 1}
    inputs = [constant(model, f"{name}.{key}", np.array([at], np.int64)) for key, at in ends.items()]
    put(node, "Slice", [shares, *inputs])


def _is_below_its_maximum(value: ir.Value, axis: int) -> bool:
    maker = value.producer()
    if maker is None or maker.domain or maker.op_type != "Sub":
        return False
    most = operand(maker, 1).producer()
    return most is not None and (most.domain, most.op_type, reduced_axes(most)) == ("", "ReduceMax", (axis,)) and (
        operand(most) is operand(maker)
    )  # fmt: skip


def _unshifted(value: ir.Value, axis: int) -> ir.Value:
    """``value`` without what is the same for a whole row."""
    while (maker := value.producer()) is not None and not maker.domain and maker.op_type in ("Add", "Sub"):
        rank = len(shape(value))
        for x, other in ((0, 1), (1, 0)) if maker.op_type == "Add" else ((0, 1),):
            source, addend = operand(maker, x), operand(maker, other)
            same = len(shape(addend)) < rank - axis or shape(addend)[axis - rank] == 1
            if same and not _hides(addend) and shape(source) == shape(value) and array(source) is None:
                value = source
                break
        else:
            return value
    return value


def _hides(value: ir.Value) -> bool:
    """Whether it may be a mask of whole rows, which are to become 0."""
    data = array(value)
    return data is not None and bool((np.abs(data) >= -HIDDEN).any())


def _shifted(node: ir.Node) -> None:
    axis = _axis(node)
    source = _unshifted(operand(node), axis)
    if source is not operand(node) and is_float(source):
        node.replace_input_with(0, source)


def _difference(node: ir.Node) -> None:
    source, maker = operand(node), operand(node, 1).producer()
    if maker is None or maker.op_type != "ReduceLogSumExp" or operand(maker) is not source or not is_float(source):
        return
    axes = reduced_axes(maker)
    if len(axes) == 1 and shape(node.outputs[0]) == shape(source) and attribute(maker, "keepdims", 1):
        put(node, "LogSoftmax", [source], {"axis": axes[0]})


def _log_sum(model: ir.Model, node: ir.Node) -> None:
    source, axes, name = operand(node), reduced_axes(node), str(node.outputs[0].name)
    if len(axes) != 1 or not is_float(source):
        return
    kind, dims = ir.DataType.FLOAT, shape(source)
    shares = insert(node, "LogSoftmax", [source], {"axis": axes[0]}, domain="", name=f"{name}.log", dtype=kind,
                    dims=dims)  # fmt: skip
    settings = {"keepdims": attribute(node, "keepdims", 1)}
    axis = constant(model, f"{name}.axes", np.array(axes, np.int64))
    tops = [
        insert(node, "ReduceMax", [v, axis], settings, domain="", name=f"{name}.{part}", dtype=kind,
               dims=shape(node.outputs[0]))
        for v, part in ((source, "top"), (shares, "share"))
    ]  # fmt: skip
    put(node, "Sub", tops)
