"""Softmax, MaskedSoftmax, LogSoftmax: the axis is stored last, the tables hold the exponentials of its integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute
from edgegate.ops._softmax import tables
from edgegate.ops.log_softmax import logarithms
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, output_attributes
from edgegate.passes.to_integer.elements import raised

LOG_BITS = 61
"""Of the distance of the farthest element: as many as an int64 has room for beside its rounding."""


def softmax(lowering: Lowering, node: ir.Node) -> None:
    """Lower either; the storage of the result is a power of two."""
    output = node.outputs[0]
    x = _rows(lowering, node)
    target, name = lowering.storage(output), str(output.name)
    bits = round(-np.log2(target.scale))
    if target.scale != 2.0**-bits or target.zero_point:
        raise NotLowerable("its scale is no power of two", "quantize this model again")
    inputs = [x.value, *_keep(lowering, node, x.order), *_tables(lowering, x, name)]
    attributes = {"bits": bits, "low": 0, "high": target.high, "to": dtype_of(target).value}
    value = lowering.emit(node.op_type, inputs, name, dtype_of(target), x.dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def log_softmax(lowering: Lowering, node: ir.Node) -> None:
    """Lower LogSoftmax, in the finest unit that its farthest element leaves room for."""
    output = node.outputs[0]
    x = _rows(lowering, node)
    target, name = lowering.storage(output), str(output.name)
    step, most = Fraction(x.storage.scale), x.storage.high - x.storage.low
    farthest = (step * most + x.dims[-1].bit_length()) / Fraction(target.scale)  # ln(n) < its bits
    shift = LOG_BITS - max(int(farthest).bit_length(), 1)
    if shift < 1:
        raise NotLowerable("its scale is far from that of its input", "compare them in the scheme")
    unit = (1 << shift) / Fraction(target.scale)
    slopes = {"slope": round(step * unit), "nat": round(unit / (1 << 30)), "shift": shift}
    inputs = [x.value, *_tables(lowering, x, name), lowering.constant(f"{name}.logs", logarithms())]
    attributes = {**slopes, **output_attributes(target)}
    value = lowering.emit("LogSoftmax", inputs, name, dtype_of(target), x.dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def _rows(lowering: Lowering, node: ir.Node) -> Stored:
    """The input, stored so that its rows are along the last axis."""
    x = lowering.stored(node.inputs[0])
    axis = int(attribute(node, "axis", -1)) % len(x.order)
    return lowering.stored(node.inputs[0], (*(a for a in x.order if a != axis), axis))


def _tables(lowering: Lowering, x: Stored, name: str) -> list[ir.Value]:
    both = zip(("coarse", "fine"), tables(x.storage.scale), strict=True)
    return [lowering.constant(f"{name}.{key}", table) for key, table in both]


def _keep(lowering: Lowering, node: ir.Node, order: tuple[int, ...]) -> list[ir.Value]:
    """The mask, its axes as those of the value are stored; missing axes are of length one."""
    if node.op_type == "Softmax":
        return []
    mask = node.inputs[1]
    data = array(mask)
    if data is not None:
        whole = data.reshape((1,) * (len(order) - data.ndim) + data.shape)
        return [lowering.constant(f"{node.outputs[0].name}.keep", np.ascontiguousarray(whole.transpose(order)))]
    assert mask is not None and mask.shape is not None, "a mask has a static shape"
    return [lowering.reorder(raised(lowering, lowering.stored(mask), len(order)), order).value]
