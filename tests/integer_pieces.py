"""Single ops of random integer graphs, with factors chosen from the samples that they will see.

Results use their range, and hit ties: factors are powers of two more often than not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import BYTES, INT8, INT16, INT32, KINDS, LONG, SHORT, UINT8, Net, dtype_of

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 70)


def numbers(net: Net, top: Any, bound: int, to: int, bits: int = 30) -> list[ir.Value]:
    """Multipliers and shifts that bring ``top``, one greatest value for each channel, near the end of type ``to``.

    Args:
        net: The graph.
        top: Greatest sample of each channel; one entry where one factor is for all.
        bound: What no value passes; TOSA allows a shift for values below 2**(shift - 1).
        to: Type of the result.
        bits: Width of the multiplier less one.
    """
    wanted = (1 << min(np.iinfo(KINDS[to]).bits, 16) - 1) * net.random.choice([0.4, 1, 1, 2])
    near = bits + np.round(np.log2(np.maximum(top, 1) / wanted))
    shift = np.clip(near, max(2, bound.bit_length() + 1), 62).astype(np.int32)
    multiplier = np.full(top.shape, 1 << bits, np.int32)
    if net.random.random() < 0.4:
        multiplier = net.data.integers(1 << bits, 2 << bits, top.shape).astype(np.int32)
    if len(top) > 1 and net.random.random() < 0.2:
        multiplier[net.random.randrange(len(top))] = 0
    return [net.constant(multiplier), net.constant(shift)]


def target(net: Net, to: int) -> dict[str, int]:
    """Zero point, bounds (some of them those of a ReLU) and type of a result."""
    info = np.iinfo(KINDS[to])
    at = net.zero_point(KINDS[to]) if to != INT32 else 0
    low, high = int(info.min), int(info.max)
    if net.random.random() < 0.3 and at < high:
        low, high = net.random.choice([(at, high), (at, min(at + 60, high)), (max(low, -100), min(high, 100))])
    return {"output_zero_point": at, "low": low, "high": high, "to": to}


def some_type(net: Net) -> int:
    return net.random.choice([INT8, INT8, INT8, UINT8, INT16])


def rescale(net: Net, x: ir.Value, to: int | None = None, zero: int = 0) -> ir.Value:
    """``x``, less its zero point, in another type: one factor for all or one for each channel."""
    to = to or some_type(net)
    top = np.concatenate([np.abs(s.astype(np.int64) - zero).reshape(-1, s.shape[-1]) for s in net.samples[x]]).max(0)
    top = top if net.random.random() < 0.5 else top.max(keepdims=True)
    bound = max(abs(v - zero) for v in net.interval(x))
    factors = numbers(net, top, bound, to, 14 if dtype_of(x) == np.int64 else 30)
    return net.one("Rescale", [x, *factors], {"input_zero_point": zero, **target(net, to)})


def clip(net: Net, x: ir.Value) -> ir.Value:
    """A ReLU, as ``to_integer`` writes it; or a Rescale that does nothing."""
    info, at = np.iinfo(dtype_of(x)), net.zero_point(dtype_of(x))
    low, high = net.random.choice([(at, info.max), (at, min(at + 70, info.max)), (info.min, info.max)])
    one = [net.constant(np.array([1 << 30], np.int32)), net.constant(np.array([30], np.int32))]
    to = next(number for number, kind in KINDS.items() if dtype_of(x) == kind)
    settings = {"input_zero_point": at, "output_zero_point": at, "low": int(low), "high": int(high), "to": to}
    return net.one("Rescale", [x, *one], settings)


def table(net: Net, x: ir.Value, kind: Any = None) -> ir.Value:
    """Any function of a byte: a sigmoid, a square, a step, or noise."""
    info, ramp = np.iinfo(kind or net.random.choice([np.int8, np.int8, np.uint8, np.int16])), np.linspace(0, 1, 256)
    curve = net.random.choice([1 / (1 + np.exp(8 - 16 * ramp)), ramp**2, np.round(ramp), net.data.random(256)])
    entries = np.floor(info.min + curve * (info.max - info.min)).astype(info.dtype)
    return net.one("Table", [x, net.constant(entries)], {"offset": 128 if dtype_of(x) == np.int8 else 0})


def table16(net: Net, x: ir.Value) -> ir.Value:
    """A smooth function of 16 bits, or noise, and its Rescale."""
    smooth, noise = np.linspace(-20000, 20000, 513), net.data.integers(-16000, 16000, 513)
    knots = net.constant(net.random.choice([smooth, noise]).astype(np.int16))
    return rescale(net, net.one("Table16", [x, knots]))


def product(net: Net, value: ir.Value, gate: ir.Value) -> ir.Value:
    """The gated product of two activations."""
    zeros = [net.zero_point(dtype_of(v)) for v in (value, gate)]
    pairs = zip(net.samples[value], net.samples[gate], strict=True)
    top = max(int(np.abs((v.astype(np.int64) - zeros[0]) * (g.astype(np.int64) - zeros[1])).max()) for v, g in pairs)
    bounds = [max(abs(end - z) for end in net.interval(v)) for v, z in zip((value, gate), zeros, strict=True)]
    to = some_type(net)
    factors = numbers(net, np.array([top]), bounds[0] * bounds[1], to)
    settings = {"value_zero_point": zeros[0], "gate_zero_point": zeros[1], **target(net, to)}
    return net.one("GatedProduct", [value, gate, *factors], settings)


def add(net: Net, a: ir.Value, b: ir.Value) -> ir.Value:
    """The sum or difference of two activations, with one rounding."""
    narrow = dtype_of(a) in BYTES and dtype_of(b) in BYTES
    shift = net.random.choice([1, 2, 5, 20] if narrow else [1, 9, 30])
    odd = net.random.randint(1, 1 << shift)
    left, right = (net.random.choice([1 << shift - 1, 1 << shift, odd, -odd, 0]) for _ in "ab")
    zeros = {"a_zero_point": net.zero_point(dtype_of(a)), "b_zero_point": net.zero_point(dtype_of(b))}
    factors = {"a_multiplier": left, "b_multiplier": right, "shift": shift}
    return net.one("Add", [a, b], {**zeros, **factors, **target(net, some_type(net))})


def windows(net: Net, x: ir.Value, most: int = 3) -> dict[str, list[int]]:
    """Kernel, pads, strides and dilations of windows over a plane, or over time, that fit it."""
    sides = shape(x)[1:-1]
    kernel = [net.random.randint(1, most) for _ in sides]
    pads = [net.random.choice([0, (k - 1) // 2, k - 1]) for k in (*kernel, *kernel)]
    dilations = [net.random.choice([1, 1, 2]) for _ in sides]
    count = len(sides)
    for i, size in enumerate(sides):
        if size + pads[i] + pads[i + count] < dilations[i] * (kernel[i] - 1) + 1:
            kernel[i], pads[i], pads[i + count] = 1, 0, 0
    strides = [net.random.choice([1, 1, 2]) for _ in sides]
    return {"kernel": kernel, "pads": pads, "strides": strides, "dilations": dilations}


Geometry = tuple[str, tuple[int, ...], dict[str, Any]]
"""A layer without its weights: op, shape of the weights, attributes."""


def geometry(net: Net, x: ir.Value, outputs: int | None = None) -> Geometry:
    """A layer that fits ``x``."""
    *_, channels = dims = shape(x)
    outputs = outputs or net.random.choice(CHANNELS)
    wide, zero = dtype_of(x) == SHORT, net.zero_point(dtype_of(x))
    if len(dims) == 2 or (len(dims) == 3 and (wide or net.random.random() < 0.4)):
        zeros = {} if wide else {"a_zero_point": zero, "b_zero_point": 0}
        return "MatMul16x8" if wide else "MatMul", (channels, outputs), zeros
    plane = windows(net, x, 3 if channels < 33 else 2)
    kernel = plane.pop("kernel")
    zeros = {} if wide else {"input_zero_point": zero}
    groups = [g for g in (2, 3, 5, 8, channels) if channels % g == 0]
    group = net.random.choice(groups) if net.random.random() < 0.25 else 1
    outputs = outputs if group == 1 else group * net.random.choice([1, 2])
    if len(dims) == 3:
        renamed = {"pads": plane["pads"], "stride": plane["strides"], "dilation": plane["dilations"]}
        if net.random.random() < 0.5:  # causal
            renamed["pads"] = [plane["dilations"][0] * (kernel[0] - 1), 0]
        return "Conv1d", (outputs, *kernel, channels // group), {**renamed, "group": group, **zeros}
    if group == channels and not wide:
        multiple = outputs // channels if outputs % channels == 0 else 1
        return "DepthwiseConv2d", (*kernel, channels, multiple), {**plane, "group": group, **zeros}
    op = "Conv2d16x8" if wide else "Conv2d"
    return op, (outputs, *kernel, channels // group), {**plane, "group": group, **zeros}


def layer(net: Net, x: ir.Value, made: Geometry) -> ir.Value:
    """The accumulators of a layer with random weights."""
    op, dims, attributes = made
    wide = "16x8" in op
    outputs = {"C": dims[0], "M": dims[-1], "D": dims[2] * dims[-1] if op[0] == "D" else 0}[op[0]]
    most = net.random.choice([0, 3, 2000, 1 << 44 if wide else 1 << 29])
    bias = net.data.integers(-most, most + 1, outputs).astype(np.int64 if wide else np.int32)
    return net.one(op, [x, net.constant(net.weights(*dims)), net.constant(bias)], attributes)


def spatial(net: Net, x: ir.Value, ranks: Sequence[int]) -> ir.Value:
    """``x`` with one of ``ranks`` axes, its channels last as far as possible."""
    dims = shape(x)
    if len(dims) in ranks:
        return x
    rank = net.random.choice(list(ranks))
    n, *middle, c = dims if len(dims) > 1 else (1, *dims)
    area = int(np.prod(middle))
    return net.reshape(x, *{2: (n * area, c), 3: (n, area, c), 4: (n, 1, area, c)}[rank])


def activation(net: Net, x: ir.Value) -> ir.Value:
    """What often follows a Rescale: nothing, a clip, one table or two, another Rescale."""
    if dtype_of(x) == LONG:
        return rescale(net, x)
    if dtype_of(x) == SHORT:
        return net.random.choice([table16, clip, lambda net, x: rescale(net, x), lambda net, x: x])(net, x)
    choices = [clip, clip, table, table, lambda net, x: table(net, table(net, x, np.int8)), lambda net, x: x]
    choices.append(lambda net, x: rescale(net, x, None, net.zero_point(dtype_of(x))))
    return net.random.choice(choices)(net, x)
