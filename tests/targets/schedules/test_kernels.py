"""CPU kernels against the numpy references, bit for bit, on the registers this machine has and on lesser ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm

from edgegate.ops import OPS
from edgegate.targets.schedules import Cpu, kernel, partition
from edgegate.targets.schedules._block_weights import greatest_exponent
from tests.targets.schedules.cases import (
    CHANNELS,
    block_products,
    conv_case,
    convolutions,
    depthwise_case,
    elementwise,
    masked_products,
    pair_case,
    pools,
    products,
    wide_products,
)
from tests.targets.schedules.kernels import HERE, NATIVE, called, check, functions_of, one_group
from tests.targets.schedules.net import UNIT, Net


@pytest.mark.parametrize("target", HERE)
def test_convolutions_followed_by_rescale_table_and_residual(target: Any) -> None:
    check(convolutions() if target is NATIVE else convolutions()[:6:2], target)


@pytest.mark.parametrize("target", HERE)
def test_products_by_constant_weights_and_one_dimensional_convolutions(target: Any) -> None:
    check(products(), target)


@pytest.mark.parametrize("target", HERE)
def test_products_by_masked_halves(target: Any) -> None:
    """One mask and several, columns that fill no register, rows that need a copy and rows that need none."""
    cases = masked_products()
    if kernel(one_group(*cases[0]), Cpu.of(tvm.target.Target(target))) is None:
        pytest.skip("these registers hold no masks")
    check(cases, target)


@pytest.mark.parametrize("target", HERE)
def test_products_of_16_bits(target: Any) -> None:
    check(wide_products() if target is NATIVE else wide_products()[::2], target)


@pytest.mark.parametrize("target", HERE)
def test_products_of_block_floating_point(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at once, and some at a time where the cache may hold few elements."""
    check(block_products() if target is NATIVE else block_products()[1::3], target)
    monkeypatch.setattr("edgegate.targets.schedules._blocked.COPY", 100)
    check(block_products()[2:3], target)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_products_of_what_was_just_quantized(dtype: Any) -> None:
    """Exponents of known reach may shift the scales in 32 bits: those of int8 and int16, at their ends."""
    net, info = Net(), np.iinfo(dtype)
    x = net.given(net.rng.choice([info.min, info.max, 1, -1, 0], (5, 96), p=[0.1, 0.1, 0.1, 0.1, 0.6]).astype(dtype))
    rounding = {"digits": 0, "top": 6, "rule": 0, "rounding": 0, "overflow": 1, "input_zero_point": 0}
    a = net.op("BlockQuantize", x, block=32, low=-127, high=127, **rounding)
    quantize = a.producer()
    assert quantize is not None
    exponents = quantize.outputs[1]
    scales = net.rng.choice([1, 32767], (3, 40)).astype(np.int32)
    y = net.op("BlockMatMul", a, exponents, net.weights(96, 40), scales, np.zeros(40, np.int64), block=32)
    group = partition(net.model(y))[-1]
    assert (greatest_exponent(exponents), len(group.nodes)) == ({8: 1, 16: 9, 32: 25}[info.bits], 1)
    made = kernel(group, Cpu.of(tvm.target.Target(NATIVE)))
    assert made is not None
    expected = net.data[str(y.name)]
    np.testing.assert_array_equal(called(functions_of([made], NATIVE)[0], made, net.data, expected), expected)


@pytest.mark.parametrize("target", HERE)
def test_both_convolutions_of_a_gated_pair_share_a_kernel(target: Any) -> None:
    cases = [pair_case(24, 17, 1, batch=2), pair_case(5, 3, 3), pair_case(64, 64, 3)]
    assert len(one_group(*pair_case(5, 3, 3)).anchors) == 2
    check(cases if target is NATIVE else cases[:1], target)


@pytest.mark.parametrize("target", HERE)
def test_depthwise_convolutions(target: Any) -> None:
    cases = [
        depthwise_case(40, 3, 2, 1, batch=2),
        depthwise_case(65, 3, 1, 2, dtype=np.uint8),
        depthwise_case(64, 3, 1, 1),
        depthwise_case(3, 5, 2, 1),
        depthwise_case(17, 1, 1, 1),
    ]
    check(cases if target is NATIVE else cases[:2], target)


@pytest.mark.parametrize("target", HERE)
def test_sums_over_an_image_and_pools(target: Any) -> None:
    check(pools(), target)


@pytest.mark.parametrize("target", HERE)
def test_elementwise_chains(target: Any) -> None:
    check(elementwise() if target is NATIVE else elementwise()[1::3], target)


def test_threads_share_every_kind_of_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """All work is worth sharing here: tasks, blocks of channels, tiles of a product by one row."""
    monkeypatch.setattr("edgegate.targets.schedules._cpu.SERIAL", 0)
    assert Cpu().parallel(1) and not Cpu(threads=1).parallel(1 << 40)
    cases = [*convolutions()[:4:3], *products()[::3], *block_products()[:3:2], *pools()[1::2], pools()[4]]
    cases += [depthwise_case(40, 3, 2, 1, batch=2), *elementwise()[6:8], elementwise()[-1]]
    check([*cases, pair_case(24, 17, 1, batch=2)], NATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("inputs", CHANNELS)
def test_every_count_of_channels(target: Any, inputs: int) -> None:
    for outputs in CHANNELS:
        geometry: dict[str, Any] = {"pads": [1] * 4, "strides": [1 + outputs % 2] * 2}
        check(
            [conv_case(inputs, outputs, (5, 6), 3, **geometry), conv_case(inputs, outputs, (2, 3), 1, batch=2)], target
        )
    check(
        [depthwise_case(inputs, 3, 1, 1), depthwise_case(inputs, 5, 2, 2, batch=2), pair_case(inputs, inputs, 1)],
        target,
    )


def test_extremes_do_not_overflow() -> None:
    """All weights and activations at the ends of their range, zero points at both ends."""
    cases = []
    for low, zero_point, weight in ((-128, 127, 127), (127, -128, -127), (-128, -128, 127)):
        net = Net()
        x = net.given(np.full((1, 3, 3, 96), low, np.int8))
        geometry = {"pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1], "input_zero_point": zero_point}
        full = np.full((17, 3, 3, 96), weight, np.int8)
        y = net.op("Conv2d", x, full, np.zeros(17, np.int32), group=1, **geometry)
        cases.append((net, net.rescale(y)))
        net = Net()
        x = net.given(np.full((1, 3, 3, 96), low, np.int8))
        y = net.op(
            "DepthwiseConv2d", x, np.full((3, 3, 96, 1), weight, np.int8), np.zeros(96, np.int32), group=96, **geometry
        )
        cases.append((net, y))
    check(cases, NATIVE)
    check(cases[:2], {"kind": "llvm"})


@pytest.mark.parametrize("target", HERE)
def test_rescale_at_every_shift_it_takes(target: Any) -> None:
    """Ties, the pure shift and the folded zero point; values spread over magnitudes."""
    cases = []
    for shift in (20, 31, 32, 33, 54):
        for multiplier in (UNIT, UNIT + 1, (1 << 31) - 1):
            net = Net(shift)
            spread = net.rng.integers(-(1 << 16), 1 << 16, (64, 48)) >> net.rng.integers(0, 16, (64, 48))
            x = net.given(spread.astype(np.int8 if shift < 32 else np.int32))
            constants = np.array([multiplier], np.int32), np.array([shift], np.int32)
            ends = {"input_zero_point": 0, "output_zero_point": -128, "low": -128, "high": 127, "to": 3}
            cases.append((net, net.op("Rescale", x, *constants, **ends)))
    check(cases, target)


@pytest.mark.parametrize("name", sorted({name for domain, name in OPS if domain == "edgegate"}))
def test_an_op_alone_is_exact_or_left_to_the_generic_lowering(name: str) -> None:
    cpu, cases, kernels = Cpu.of(tvm.target.Target(NATIVE)), [], []
    for sample in OPS["edgegate", name].samples(np.random.default_rng(1)):
        net = Net()
        first, *others = sample.inputs
        output = net.op(name, net.given(first), *(np.asarray(o) for o in others), **sample.attributes)
        made = kernel(one_group(net, output), cpu) if np.ndim(first) else None
        if made is not None:
            cases.append(net)
            kernels.append(made)
    functions = functions_of(kernels, NATIVE) if kernels else []
    for i, (net, made) in enumerate(zip(cases, kernels, strict=True)):
        expected = net.data[str(made.output.name)]
        np.testing.assert_array_equal(called(functions[i], made, net.data, expected), expected, f"sample {i}")
