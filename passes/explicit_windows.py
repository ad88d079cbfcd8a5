"""Convolutions and pools say where their windows lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, matches, set_attribute, shape
from edgegate.passes._rewrite import is_float, operand

_RESOLVED = ("auto_pad", "storage_order", "ceil_mode", "kernel_shape")


def explicit_windows(model: ir.Model) -> None:
    """Write out ``pads``, ``strides`` and ``dilations``; ``auto_pad`` and ``ceil_mode`` become pads.

    Conv also gets ``group`` and a bias (zeros), its ``kernel_shape`` is that of the weights; pools keep
    ``kernel_shape``, and AveragePool ``count_include_pad``. Left as they are: a Conv whose weights are not
    constant, a MaxPool with indices, and an AveragePool that rounds up, as its last windows average
    fewer elements, which no padding can say.
    """
    for node in matches(model, "Conv"):
        if array(node.inputs[1]) is not None and is_float(node.inputs[0]):
            _windows(node, shape(operand(node, 1))[2:])
            set_attribute(node, "group", attribute(node, "group", 1))
            _add_bias(model, node)
    for node in matches(model, "MaxPool", "AveragePool"):
        if len(node.outputs) == 1 and _windows(node, kernel := tuple(attribute(node, "kernel_shape"))):
            set_attribute(node, "kernel_shape", kernel)
            if node.op_type == "AveragePool":
                set_attribute(node, "count_include_pad", attribute(node, "count_include_pad", 0))


def _windows(node: ir.Node, kernel: Sequence[int]) -> bool:
    """Write the attributes; False where pads cannot say what ``ceil_mode`` does."""
    ones = [1] * len(kernel)
    strides, dilations = (list(attribute(node, name, ones)) for name in ("strides", "dilations"))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = zip(shape(operand(node))[2:], shape(node.outputs[0])[2:], reach, strides, strict=True)
    needed = [(out - 1) * stride + window - size for size, out, window, stride in sizes]
    before, after = _pads(node, needed)
    if any(n > b + a for n, b, a in zip(needed, before, after, strict=True)):  # rounds up
        if node.op_type == "AveragePool":
            return False
        after = [max(a, n - b) for n, b, a in zip(needed, before, after, strict=True)]
    for name in _RESOLVED:
        node.attributes.pop(name, None)
    for name, ints in (("pads", before + after), ("strides", strides), ("dilations", dilations)):
        set_attribute(node, name, ints)
    return True


def _pads(node: ir.Node, needed: Sequence[int]) -> tuple[list[int], list[int]]:
    """Pads before and after, per axis; ``needed`` is how far the windows reach beyond the input."""
    rank, kind = len(needed), attribute(node, "auto_pad", "NOTSET")
    if kind == "NOTSET":
        pads = list(attribute(node, "pads", [0] * 2 * rank))
        return pads[:rank], pads[rank:]
    total = [max(n, 0) if kind.startswith("SAME") else 0 for n in needed]
    less = [t // 2 for t in total]
    more = [t - h for t, h in zip(total, less, strict=True)]
    return (less, more) if kind == "SAME_UPPER" else (more, less)


def _add_bias(model: ir.Model, node: ir.Node) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return
    channels = shape(operand(node, 1))[0]
    node.resize_inputs(3)
    zeros = np.zeros(channels, np.float32)
    node.replace_input_with(2, constant(model, f"{node.outputs[0].name}.bias", zeros))
