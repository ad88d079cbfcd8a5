"""What the reductions have in common: weights, geometry and zero point of a convolution or a product."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.targets.schedules._geometry import Window
from edgegate.targets.schedules._kernel import Unsupported

PRODUCTS = ("MatMul", "MaskedMatMul")


def weights_of(anchor: ir.Node) -> Array:
    """Constant weights as [outputs, rows, columns, inputs]."""
    data = array(anchor.inputs[1])
    if data is None or data.dtype != np.int8:
        raise Unsupported("weights are computed at run time or are not int8")
    if anchor.op_type in PRODUCTS:
        if data.ndim != 2 or attribute(anchor, "b_zero_point"):
            raise Unsupported("weights with a zero point or a batch")
        return data.T[:, None, None, :]
    if attribute(anchor, "group") != 1:
        raise Unsupported("grouped convolution")
    return data[:, None] if anchor.op_type == "Conv1d" else data


def window_of(anchor: ir.Node, weights: Array) -> Window:
    """The geometry of an anchor; Conv1d is one row, a product is one row of pixels."""
    assert anchor.inputs[0] is not None
    dims, kernel = shape(anchor.inputs[0]), (weights.shape[1], weights.shape[2])
    if anchor.op_type in PRODUCTS:
        return Window(images=1, height=1, width=int(np.prod(dims[:-1])), channels=dims[-1], kernel=kernel,
                      pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1))  # fmt: skip
    if anchor.op_type == "Conv1d":
        left, right = attribute(anchor, "pads")
        return Window(images=dims[0], height=1, width=dims[1], channels=dims[2], kernel=kernel,
                      pads=(0, left, 0, right), strides=(1, *attribute(anchor, "stride")),
                      dilations=(1, *attribute(anchor, "dilation")))  # fmt: skip
    return Window(images=dims[0], height=dims[1], width=dims[2], channels=dims[3], kernel=kernel,
                  pads=tuple(attribute(anchor, "pads")), strides=tuple(attribute(anchor, "strides")),
                  dilations=tuple(attribute(anchor, "dilations")))  # fmt: skip


def zero_point_of(anchor: ir.Node) -> int:
    """The zero point of an anchor's input."""
    return int(attribute(anchor, "a_zero_point" if anchor.op_type == "MatMul" else "input_zero_point"))
