"""Masked pairs in random integer graphs: as one op, and as the layers that a pass makes one of."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.ops.masked_matmul import packed
from tests.integer_net import LONG, SHORT, Net, dtype_of
from tests.integer_pieces import CHANNELS, product, rescale, spatial, table


def masked_pair(net: Net, x: ir.Value) -> None:
    """The halves of one matrix by one mask or several, as gates and values."""
    x = spatial(net, rescale(net, x, 3) if dtype_of(x) == LONG else x, (2, 3))
    depth, outputs, count = shape(x)[-1], net.random.choice(CHANNELS), net.random.choice([1, 1, 2, 3])
    weight, masks = net.weights(depth, outputs), net.data.integers(0, 2, (count, depth, outputs)).astype(bool)
    wide = dtype_of(x) == SHORT
    most = net.random.choice([0, 3, 2000])
    bias = net.data.integers(-most, most + 1, (count, 2, outputs)).astype(np.int64 if wide else np.int32)
    zero = net.zero_point(dtype_of(x))
    if net.random.random() < 0.5:
        sides = [
            _layer(net, x, np.where(bits == half, weight, 0), b, zero)
            for bits, row in zip(masks, bias, strict=True)
            for half, b in zip((True, False), row, strict=True)
        ]
    else:
        constants = [net.constant(data) for data in (weight, packed(masks), bias.reshape(-1))]
        whole = net.one("MaskedMatMul", [x, *constants], {"x_zero_point": zero})
        sizes = net.constant(np.full(2 * count, outputs, np.int64))
        sides = net.add("Split", [whole, sizes], {"axis": -1}, domain="")
    stored = [rescale(net, side) for side in sides]
    for gate, value in zip(stored[::2], stored[1::2], strict=True):
        net.keep(product(net, value, table(net, gate) if dtype_of(gate) in (np.int8, np.uint8) else gate))


def _layer(net: Net, x: ir.Value, weight: np.ndarray, bias: np.ndarray, zero: int) -> ir.Value:
    constants = [net.constant(weight), net.constant(bias)]
    if dtype_of(x) == SHORT:
        return net.one("MatMul16x8", [x, *constants])
    return net.one("MatMul", [x, *constants], {"a_zero_point": zero, "b_zero_point": 0})
