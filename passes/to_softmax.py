"""A softmax, or its logarithm, however it is written."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, put
from edgegate.passes._row_sums import reduced_axes
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.mask_softmax import HIDDEN

FAINT = 1e-4
"""Largest constant beside a sum of exponentials of at least 1 that stands for nothing: it is 80 dB below."""


def to_softmax(model: ir.Model) -> None:
    """Turn ``exp(x) / sum(exp(x))`` into Softmax, ``log(softmax(x))`` and ``x - logsumexp(x)`` into LogSoftmax.

    What is the same for a whole row, such as its maximum, may be added to ``x`` or taken off; it goes. Any other
    logsumexp becomes what its LogSoftmax takes off the greatest of ``x``. In integers the exponentials of a row are
    relative to its own greatest, where an ``Exp`` by itself has one scale for all rows.
    """
    for node in matches(model, "Div"):
        _quotient(node)
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


def _quotient(node: ir.Node) -> None:
    exponential, divisor = operand(node), operand(node, 1)
    maker, total = exponential.producer(), divisor.producer()
    if maker is None or total is None or not is_float(exponential) or (maker.domain, maker.op_type) != ("", "Exp"):
        return
    faint = None
    while total.op_type in ("Expand", "Identity", "Add", "Max", "Clip"):
        if total.op_type in ("Add", "Max", "Clip"):
            faint = _number(total, faint)
        inner = operand(total).producer()
        if inner is None or faint == np.inf:
            return
        total = inner
    if total.op_type != "ReduceSum" or operand(total) is not exponential or not attribute(total, "keepdims", 1):
        return
    axes = reduced_axes(total)
    if len(axes) == 1 and (not faint or (faint <= FAINT and _is_below_its_maximum(operand(maker), axes[0]))):
        put(node, "Softmax", [_unshifted(operand(maker), axes[0])], {"axis": axes[0]})


def _number(node: ir.Node, so_far: float | None) -> float:
    """What a node holds against zeros, with what another one does; infinite if it is no single number."""
    data = array(node.inputs[1]) if len(node.inputs) > 1 else None
    upper = node.op_type == "Clip" and len(node.inputs) > 2 and node.inputs[2] is not None
    if upper or data is None or data.size != 1 or float(data.reshape(())) < 0:
        return np.inf
    return float(data.reshape(())) + (so_far or 0.0)


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
