"""Motifs of random integer graphs that work on blocks of the last axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import BYTES, LONG, Net, dtype_of
from tests.integer_pieces import CHANNELS, rescale


def whole_blocks(net: Net, x: ir.Value) -> tuple[ir.Value, int]:
    """``x`` with a last axis that is some blocks long, and the size of a block: a power of two."""
    channels = shape(x)[-1]
    block = net.random.choice([1, 2, 4, 8, 16, 32])
    if channels % block:
        index = net.data.integers(-channels, channels, block * net.random.randint(1, 3))
        x = net.move("Gather", [x, net.constant(index)], axis=-1)
    return x, block


def transform(net: Net, x: ir.Value) -> None:
    """Blocks turned by Hadamard's matrix, or each by its own."""
    x, block = whole_blocks(net, x)
    net.keep(rescale(net, turned(net, x, block)))


def quantized(net: Net, x: ir.Value, block: int) -> list[ir.Value]:
    """Significands and exponents of an activation, or of the sums of its transform."""
    x = turned(net, x, block) if net.random.random() < 0.5 else x
    high, digits = net.random.choice([(1, 0), (3, 0), (7, 0), (127, 0), (12, 2), (60, 4)])
    low = -high - (not digits and net.random.random() < 0.3)
    kind = {"rule": (0, 0, 1, 2), "rounding": (0, 0, 1, 2, 3), "overflow": (0, 1)}
    settings = {"low": low, "high": high, "digits": digits, "top": high.bit_length() - 1, "block": block}
    settings |= {name: net.random.choice(values) for name, values in kind.items()}
    if not (digits or settings["rule"] or settings["overflow"]) and net.random.random() < 0.5:
        settings["top"] += 1  # half the step
    zero = net.zero_point(dtype_of(x)) if dtype_of(x) != LONG else 0
    return net.add("BlockQuantize", [x], {**settings, "input_zero_point": zero})


def blocks(net: Net, x: ir.Value) -> None:
    """Block floating point, its parts apart."""
    net.keep(*quantized(net, *whole_blocks(net, x)))


def block_layer(net: Net, x: ir.Value) -> None:
    """A product by weights with a scale for each block, as wide as 48 bits allow, and its Rescale."""
    x, block = whole_blocks(net, x)
    a, exponents = quantized(net, x, block)
    depth, outputs = shape(a)[-1], net.random.choice(CHANNELS)
    room = 46 - net.interval(a)[1].bit_length() - 7 - depth.bit_length() - net.interval(exponents)[1]
    assert room >= 0, "the product of a block of small weights fits"
    scales = net.data.integers(1, 1 + (1 << min(room, 16)), (depth // block, outputs)).astype(np.int32)
    bias = net.data.integers(-(1 << 44), 1 << 44, outputs) >> net.random.choice([0, 20, 40])
    constants = [net.constant(v) for v in (net.weights(depth, outputs), scales, bias)]
    net.keep(rescale(net, net.one("BlockMatMul", [a, exponents, *constants], {"block": block})))


def turned(net: Net, x: ir.Value, block: int) -> ir.Value:
    """The int32 sums of a transform of an activation."""
    zero = {"input_zero_point": net.zero_point(dtype_of(x))}
    if net.random.random() < 0.5:
        return net.one("Hadamard", [x], {"block": block, **zero})
    matrices = net.weights(shape(x)[-1] // block, block, block)
    narrow = dtype_of(x) in BYTES and net.random.random() < 0.5
    wide = net.data.integers(-32768, 32768, matrices.shape).astype(np.int16)
    return net.one("BlockTransform", [x, net.constant(wide if narrow else matrices)], zero)
