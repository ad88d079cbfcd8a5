"""Graphs that become one kernel each: every kind of layer, with what follows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.ops.masked_matmul import packed
from tests.targets.schedules.net import UNIT, Net

CHANNELS = (1, 3, 5, 16, 17, 24, 40, 64, 65)
Case = tuple[Net, ir.Value]


def conv_case(inputs: int, outputs: int, side: tuple[int, int], size: int, batch: int = 1, **more: Any) -> Case:
    net = Net(inputs * 100 + outputs)
    y = net.table(net.rescale(net.conv(net.given(net.bytes(batch, *side, inputs)), outputs, size, **more)))
    residual = net.given(net.bytes(*net.data[str(y.name)].shape))
    return net, net.add(y, residual)


def convolutions() -> list[Case]:
    return [
        conv_case(3, 16, (9, 9), 3, pads=[1, 0, 0, 1], strides=[2, 2], zero_point=-128),
        conv_case(64, 64, (8, 9), 3, pads=[1, 1, 1, 1], zero_point=127),
        conv_case(5, 17, (7, 7), 3, pads=[2, 2, 2, 2], dilations=[2, 2]),
        conv_case(16, 24, (6, 5), 1),
        conv_case(40, 65, (5, 5), 1, batch=2),
        conv_case(24, 1, (5, 5), 3, strides=[2, 1], pads=[1, 1, 1, 1]),
        conv_case(65, 3, (5, 5), 1, strides=[3, 2]),
        conv_case(1, 5, (3, 9), 3, pads=[0, 1, 2, 3], batch=2),
        conv_case(17, 40, (1, 1), 1),
    ]


def products() -> list[Case]:
    cases = []
    for rows, k, n in ((1, 64, 300), (3, 17, 5), (49, 5, 24)):
        net = Net(rows)
        a = net.given(net.bytes(2, rows, k, dtype=np.uint8) if rows == 3 else net.bytes(rows, k))
        y = net.op("MatMul", a, net.weights(k, n), np.arange(n, dtype=np.int32) - 7, a_zero_point=11, b_zero_point=0)
        cases.append((net, net.rescale(y, to=2, low=9, high=200) if rows != 49 else y))
    net = Net(9)
    x = net.given(net.bytes(2, 20, 5))
    geometry = {"pads": [4, 0], "stride": [2], "dilation": [2], "group": 1, "input_zero_point": 5}
    y = net.op("Conv1d", x, net.weights(17, 3, 5), np.zeros(17, np.int32), **geometry)
    return [*cases, (net, net.rescale(y, to=5))]


def masked_products() -> list[Case]:
    """Rows, depth, columns, masks, type and zero point of MaskedMatMul."""
    cases: list[Case] = []
    plan = (((1,), 64, 300, 1, np.int8, -128), ((3,), 17, 5, 2, np.int8, 11), ((2, 5), 24, 33, 4, np.uint8, 200),
            ((49,), 40, 40, 5, np.int8, 127))  # fmt: skip
    for rows, k, n, masks, dtype, zero in plan:
        net = Net(k)
        x, kept = net.given(net.bytes(*rows, k, dtype=dtype)), packed(net.rng.random((masks, k, n)) < 0.5)
        bias = net.rng.integers(-9000, 9000, 2 * masks * n).astype(np.int32)
        cases.append((net, net.op("MaskedMatMul", x, net.weights(k, n), kept, bias, x_zero_point=zero)))
    return cases


NIBBLES, CODES, BYTES = np.arange(-8, 8), np.array([0, 1, 2, 3, 4, 6, 8, 12, -1, -2, -3, -4, -6, -8, -12]), None
"""Weights of a product in blocks: sixteen in a row, those of mxfp4, any."""


def block_product(net: Net, lead: tuple[int, ...], depth: int, block: int, n: int, weights: Any = BYTES) -> ir.Value:
    """Columns with the greatest shifts; weights of each sort."""
    a = net.given(net.bytes(*lead, depth))
    exponents = net.given(net.rng.choice([0, 1, 5, 25], (*lead, depth // block)).astype(np.int8))
    scales = net.rng.choice([1, 2, 777, 4095 if block > 4 else 40000], (depth // block, n)).astype(np.int32)
    bias = net.rng.integers(-(1 << 45), 1 << 45, n)
    b = net.bytes(depth, n) if weights is None else net.rng.choice(weights, (depth, n)).astype(np.int8)
    return net.op("BlockMatMul", a, exponents, b, scales, bias, block=block)


def block_products() -> list[Case]:
    """One row and several, columns that fill no register, blocks of few words; what may follow, and side inputs."""
    cases = []
    for lead, depth, block, n, weights in (
        ((1,), 64, 32, 300, NIBBLES), ((2, 3), 24, 4, 5, NIBBLES), ((21,), 48, 16, 40, BYTES), ((5,), 32, 8, 64, CODES),
    ):  # fmt: skip
        net = Net(n)
        cases.append((net, block_product(net, lead, depth, block, n, weights)))
    for lead, n, weights in (((1,), 70, CODES), ((7,), 40, NIBBLES), ((2, 3), 17, BYTES)):
        net = Net(n)
        y = net.table(net.rescale(block_product(net, lead, 64, 32, n, weights), input_zero_point=1 << 40))
        gate = net.given(net.bytes(*net.data[str(y.name)].shape))
        cases.append((net, net.product(y, gate, to=5, low=-32768, high=32767, shift=31)))
    net = Net(3)
    sums = block_product(net, (3,), 64, 16, 3, NIBBLES)
    return [*cases, (net, net.rescale(sums, per_channel=False, to=2, low=9, high=200))]


def wide_products() -> list[Case]:
    """Rows at the ends of int16, one and several; one block, and as many as int32 needs for weights at their ends."""
    cases = []
    for lead, depth, n in (((1,), 64, 70), ((2, 3), 18, 5), ((9,), 2048, 16)):
        net = Net(n)
        a = net.given(net.bytes(*lead, depth, dtype=np.int16))
        b = net.weights(depth, n) if depth < 2048 else np.full((depth, n), -127, np.int8)
        y = net.op("MatMul16x8", a, b, net.rng.integers(-(1 << 40), 1 << 40, n))
        cases.append((net, net.table(net.rescale(y)) if n == 70 else net.rescale(y, to=5)))
    return cases


def pair_case(inputs: int, outputs: int, size: int, batch: int = 1) -> Case:
    net = Net(outputs)
    x = net.given(net.bytes(batch, 6, 5, inputs))
    pads = [size // 2] * 4
    value, gate = (net.rescale(net.conv(x, outputs, size, 5, pads=pads), per_channel=p) for p in (True, False))
    return net, net.product(net.table(value), net.table(gate, np.uint8), gate_zero_point=0)


def depthwise_case(channels: int, size: int, stride: int, dilation: int, dtype: Any = np.int8, batch: int = 1) -> Case:
    net = Net(channels)
    zero_point = 250 if dtype == np.uint8 else -128
    x = net.given(net.bytes(batch, 7, 6, channels, dtype=dtype))
    y = net.depthwise(x, size, zero_point, strides=[stride] * 2, dilations=[dilation] * 2, pads=[size - 1] * 4)
    return net, net.table(net.rescale(y))


def pools() -> list[Case]:
    cases = []
    for channels in (1, 24, 130):
        net = Net(channels)
        x = net.given(net.bytes(2, 5, 3, channels))
        y = net.op("Sum", x, axes=[1, 2], keepdims=channels % 2, input_zero_point=-128)
        cases.append((net, net.rescale(y, per_channel=False)))
    net = Net(7)
    x = net.given(net.bytes(2, 7, 8, 65))
    geometry = {"kernel": [3, 2], "pads": [1, 0, 0, 1], "strides": [2, 2]}
    cases.append((net, net.table(net.op("MaxPool2d", x, **geometry, dilations=[1, 2]))))
    net = Net(8)
    x = net.given(net.bytes(1, 7, 8, 16, dtype=np.uint8))
    return [*cases, (net, net.rescale(net.op("SumPool2d", x, **geometry, input_zero_point=255)))]


def elementwise() -> list[Case]:
    cases = []
    for channels in CHANNELS:
        net = Net(channels)
        x, gate = net.given(net.bytes(2, 3, 5, channels)), net.given(net.bytes(2, 1, 1, channels, dtype=np.uint8))
        multiplier = UNIT if channels % 2 else UNIT + 12345
        cases.append((net, net.product(x, gate, multiplier, gate_zero_point=0)))
        net = Net(channels)
        x, y = (net.given(net.bytes(2, 3, 1, channels)) for _ in range(2))
        cases.append((net, net.table(net.add(x, y))))
    for dtype, to in ((np.int8, 3), (np.uint8, 2), (np.int8, 5), (np.int8, 6)):
        net = Net(to)
        x = net.given(net.bytes(1, 4, 5, 24, dtype=dtype))
        info = np.iinfo(ir.DataType(to).numpy())
        cases.append((net, net.rescale(x, to=to, input_zero_point=-7, low=int(info.min), high=99)))
    net = Net(1)
    x = net.given(net.rng.integers(-(1 << 30), 1 << 30, (2, 3, 24)).astype(np.int32))
    return [*cases, (net, net.rescale(x))]
