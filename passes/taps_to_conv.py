"""A sum over constant taps is a depthwise convolution with one window."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, insert, matches, only_user, shape
from edgegate.passes._rewrite import operand, operands, put


def taps_to_conv(model: ir.Model) -> None:
    """Turn ``sum(x * taps, axis=-1)``, x [N, ..., C, K] and ``taps`` constant, into a Conv of C groups and a Reshape.

    So write decoders the causal convolution of one step over what a queue holds: Gu, Dao, "Mamba", 2023, ``step``;
    LFM2's short convolution. As a layer it has weights with a scale for each channel.
    """
    for node in matches(model, "ReduceSum"):
        source, axes = operand(node), array(node.inputs[1]) if len(node.inputs) > 1 else None
        product = source.producer()
        rank = len(shape(source))
        if axes is None or list(axes) != [rank - 1] or product is None or only_user(source) is not node:
            continue
        parts = operands(product) if (product.domain, product.op_type) == ("", "Mul") else None
        taps = None if parts is None else _taps(parts[1], shape(source))
        if parts is not None and taps is not None and shape(parts[0]) == shape(source):
            _convolve(model, node, parts[0], taps)


def _taps(data: Array, dims: tuple[int, ...]) -> Array | None:
    """``data`` as weights [C, 1, K]; None where it is one number, or differs from sample to sample."""
    if data.size == 1 or len(dims) < 3 or data.ndim > len(dims):
        return None
    full = np.broadcast_to(data, dims)
    if data.ndim == len(dims) and data.shape[0] > 1:
        return None
    return full[0].reshape(prod(dims[1:-1]), 1, dims[-1])


def _convolve(model: ir.Model, node: ir.Node, x: ir.Value, taps: Array) -> None:
    name, dtype = node.outputs[0].name, ir.DataType.FLOAT
    dims = (shape(x)[0], taps.shape[0], taps.shape[2])
    if shape(x) != dims:
        target = constant(model, f"{name}.dims", np.array(dims, np.int64))
        x = insert(node, "Reshape", [x, target], domain="", name=f"{name}.window", dtype=dtype, dims=dims)
    weights = [constant(model, f"{name}.taps", taps), constant(model, f"{name}.bias", np.zeros(len(taps), np.float32))]
    attributes = {"pads": [0, 0], "strides": [1], "dilations": [1], "group": len(taps)}
    one = insert(
        node, "Conv", [x, *weights], attributes, domain="", name=f"{name}.sum", dtype=dtype, dims=(*dims[:2], 1)
    )
    put(node, "Reshape", [one, constant(model, f"{name}.shape", np.array(shape(node.outputs[0]), np.int64))])
