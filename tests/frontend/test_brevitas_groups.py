"""brevitas quantizers whose scales belong to groups: taken as the block format that they are, or refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import onnx_ir as ir
import pytest
import torch
from brevitas.inject.enum import ScalingPerOutputType
from brevitas.proxy.groupwise_int_parameter_quant import GroupwiseWeightQuantProxyFromInjector
from brevitas.quant.mx_quant_ocp import (
    MXFloat8e4m3Act,
    MXFloat8e4m3Weight,
    MXInt8Act,
    MXInt8Weight,
    ShiftedMXUInt8Weight,
)
from torch import nn

import edgegate
from edgegate import stages
from edgegate.errors import CompileError
from edgegate.frontend import load
from edgegate.graph import array
from edgegate.passes import FLOAT, run
from edgegate.quant.block_weights import stored_blocks
from edgegate.quant.layer_formats import given_blocks
from edgegate.quant.sites import matrix_of
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import layers
from tests.frontend.brevitas_nets import Apart, entry, floats, integers, settled

SIZES = {"mxfp8_e4m3": (8, 4, 3), "mxfp6_e2m3": (6, 2, 3), "mxfp6_e3m2": (6, 3, 2), "mxfp4": (4, 2, 1)}


def minifloat(name: str, base: Any) -> Any:
    bits, exponent, mantissa = SIZES[name]
    sizes = {"bit_width": bits, "exponent_bit_width": exponent, "mantissa_bit_width": mantissa}
    return type(name, (base,), sizes)


def kind(base: Any, **options: Any) -> Any:
    return type(base.__name__, (base,), options)


class Groups(bq.Int8WeightPerChannelFloat):
    """Integers with a float scale for each group."""

    proxy_class = GroupwiseWeightQuantProxyFromInjector
    scaling_per_output_type = ScalingPerOutputType.GROUP
    group_size = 32


FOUR = kind(Groups, bit_width=4)
STORED = [(minifloat(name, MXFloat8e4m3Weight), name, False) for name in SIZES] + [
    (kind(MXInt8Weight, narrow_range=True), "mxint8", False),
    (kind(MXInt8Weight, narrow_range=True, bit_width=4), "bfp12", False),
    (MXInt8Weight, "mxint8_brevitas", True),
    (kind(MXInt8Weight, bit_width=4, group_size=16), "mxint4_brevitas_b16", True),
    (Groups, "int8_g32", True),
    (FOUR, "int4_g32", True),
    (kind(Groups, bit_width=3, group_size=48), "int3_g16", True),
    (kind(Groups, bit_width=8, group_size=256), "int8_g128", True),
    (kind(Groups, bit_width=4, narrow_range=False), "mxint4_brevitas", True),
    (kind(Groups, bit_width=8, narrow_range=False), "mxint8_brevitas", True),
]
"""Quantizers, their formats, and whether scales stand beside the name."""
MATRICES = 3
"""Every so many of them have a matrix beside their convolution."""


def vectors(count: int, channels: int = 64) -> torch.Tensor:
    return torch.randn((count, channels), generator=torch.Generator().manual_seed(3))


def pixels(count: int, channels: int = 40) -> torch.Tensor:
    return torch.randn((count, channels, 4, 4), generator=torch.Generator().manual_seed(3))


def linear(weights: Any, activations: Any = None, channels: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return qnn.QuantLinear(channels, 8, bias=True, weight_quant=weights, input_quant=activations).eval()


def conv(weights: Any, channels: int = 40, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return qnn.QuantConv2d(channels, 8, 3, bias=True, weight_quant=weights, **options).eval()


@functools.cache
def all_stored() -> tuple[list[Any], ir.Model]:
    """Each quantizer in a convolution, some in a matrix, and the normalised graph: one export for all."""
    made = [conv(q, 64) for q, *_ in STORED]
    made += [nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), linear(q)) for q, *_ in STORED[::MATRICES]]
    for layer in [m if isinstance(m, qnn.QuantConv2d) else m[2] for m in made]:
        layer.weight.data[0] = torch.where(layer.weight.data[0] < 0, 0, 1)  # cut off above zero alone
        layer.weight.data[1] = 0
    net = Apart(made).eval()
    model = load(net, example=(pixels(1, 64),))
    run(model, FLOAT, stages.floating)
    return made, model


@pytest.mark.parametrize("index", range(len(STORED)), ids=[f"{n}-{i}" for i, (_, n, _) in enumerate(STORED)])
def test_weights_are_stored_as_they_were_trained(index: int) -> None:
    made, model = all_stored()
    _, name, scales = STORED[index]
    for at in [index] + [len(STORED) + index // MATRICES] * (index % MATRICES == 0):
        layer, found = (made[at] if at == index else made[at][2]), layers(model)[at]
        trained = layer.quant_weight().value.detach().numpy()
        data = array(found.weight)
        assert data is not None
        assert np.array_equal(data if trained.ndim == 4 else data.T, trained)
        storage = given_blocks(found)
        assert storage is not None
        assert (storage.weights, storage.activations) == (name, None)
        assert bool(storage.scales) == scales
        rows = matrix_of(found).T.astype(np.float64)
        stored = stored_blocks(storage, rows)
        np.testing.assert_allclose(stored.values(), rows, rtol=1e-7 if scales else 0)
        if scales:
            integer = np.moveaxis(layer.quant_weight().int().numpy(), 1, -1).reshape(len(rows), -1)
            assert np.array_equal(stored.significands.reshape(len(rows), -1)[:, : rows.shape[1]], integer)


def test_networks_in_blocks_become_integers() -> None:
    """The integers are rounded once more, where a block takes 16 bits of its input: else they are brevitas' own."""
    names = ["mxfp4", "mxfp6_e2m3", "mxint8_brevitas", "mxint4_brevitas"]
    pairs = [tuple(minifloat(n, base) for base in (MXFloat8e4m3Weight, MXFloat8e4m3Act)) for n in names[:2]]
    pairs += [tuple(kind(base, bit_width=bits) for base in (MXInt8Weight, MXInt8Act)) for bits in (8, 4)]
    torch.manual_seed(0)
    options = [{"bias": True, "weight_quant": w, "input_quant": a} for w, a in pairs]
    parts = [nn.Sequential(qnn.QuantLinear(64, 32, **o), nn.ReLU(), qnn.QuantLinear(32, 8, **o)) for o in options]
    net, x = Apart([*parts, linear(FOUR)]).eval(), vectors(48)
    found, scheme = integers(net, x)
    assert not scheme.transforms
    stored = [(b.weights, b.activations) for b in scheme.blocks.values()]
    assert stored.pop() == ("int4_g32", "bfp16_b32")  # nobody quantized its input: blocks of 8 bits are the best
    assert sorted(stored) == sorted((n, n) for n in names for _ in range(2))
    for name, got, want in zip([*names, "int4_g32"], found, floats(net, x, scheme), strict=True):
        error = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))
        assert error < {"mxint8_brevitas": 0.004, "int4_g32": 0.012}.get(name, 0.04)
        assert (got.argmax(1) == want.argmax(1)).mean() > 0.93
    sources = {s.scale for s in scheme.values.values() if s.dtype == "int16"}
    assert any(np.frexp(scale)[0] == 0.5 for scale in sources)


SHIFTED = bq.ShiftedUint8ActPerTensorFloat
EXACT: list[tuple[Callable[[], list[nn.Module]], int]] = [
    (lambda: [entry(), linear(FOUR), entry()], 2),
    (lambda: [entry(act_quant=SHIFTED), linear(Groups), entry()], 2),
    (lambda: [entry(), qnn.QuantReLU(bit_width=8), linear(kind(FOUR, group_size=128)), entry()], 1),
    (lambda: [entry(), linear(MXInt8Weight), entry()], 2),
    (lambda: [entry(), linear(minifloat("mxfp4", MXFloat8e4m3Weight)), entry()], 3),
]
IMAGES: list[Callable[[], list[nn.Module]]] = [
    lambda: [entry(), conv(FOUR, padding=1), entry()],
    lambda: [entry(act_quant=SHIFTED), conv(Groups, padding=1, stride=2), nn.BatchNorm2d(8), entry()],
    lambda: [entry(), conv(minifloat("mxfp4", MXFloat8e4m3Weight)), nn.BatchNorm2d(8), entry()],
    lambda: [entry(), conv(MXInt8Weight), nn.BatchNorm2d(8), entry()],
    lambda: [entry(), conv(kind(FOUR, group_size=48), padding=(0, 1)), entry()],
]


@pytest.mark.parametrize("image", [False, True])
def test_groups_read_integers_of_8_bits_as_they_are(image: bool) -> None:
    """No block is formed of the input: not one step is off but between two stored values, whatever scale and norm."""
    x = pixels(12) if image else vectors(12)
    made = IMAGES if image else [parts for parts, _ in EXACT]
    net = settled(x, Apart([nn.Sequential(*parts()) for parts in made]))
    found, scheme = integers(net, x)
    assert {b.activations for b in scheme.blocks.values()} == {None}
    assert len(scheme.blocks) == len(made)
    for part, got, want in zip(net.parts, found, floats(net, x, scheme), strict=True):
        off = np.abs(got - want) / float(part[-1].act_quant.scale())
        assert off.max() < 1.01
        assert (off > 0.5).mean() < 0.005


def refusal(*parts: nn.Module, x: torch.Tensor) -> str:
    with pytest.raises(CompileError) as error:
        edgegate.quantize(Apart(list(parts)).eval(), (x,), input_range=(-1.0, 1.0))
    return str(error.value)


def test_what_no_block_format_is_is_refused_by_name() -> None:
    said = refusal(
        linear(ShiftedMXUInt8Weight), linear(kind(FOUR, group_size=8)), linear(Groups, kind(MXInt8Act, bit_width=9)),
        x=vectors(1),
    )  # fmt: skip
    assert "parts.0 (weight_quant): no block format stores what it makes" in said
    assert "parts.1 (weight_quant): no block format stores" in said
    assert "parts.2 (input_quant): no block format does to" in said
    alone = nn.Sequential(qnn.QuantIdentity(act_quant=MXFloat8e4m3Act, group_dim=-1), nn.Linear(64, 8))
    assert "no input of a layer" in refusal(alone, x=vectors(1))


def test_layers_that_no_blocks_fit_are_refused() -> None:
    turned = qnn.QuantConvTranspose2d(40, 8, 4, stride=2, padding=1, bias=True, weight_quant=FOUR)
    said = refusal(turned, qnn.QuantConv2d(40, 8, 3, groups=2, weight_quant=FOUR), x=pixels(1))
    assert "parts.0" in said and "a pass has moved its weights" in said
    assert "parts.1" in said and "its weights were trained in groups, but blocks run along all input" in said


def test_inputs_without_blocks_are_refused() -> None:
    wide = nn.Sequential(entry(16), linear(FOUR))
    said = refusal(wide, linear(MXFloat8e4m3Weight, MXFloat8e4m3Act), x=vectors(1))
    assert "its activations have no block format, and int16 is none" in said
    assert "have no integer form" in said


def test_images_keep_their_layers_in_int8_beside_blocks() -> None:
    """A quantizer per group in one layer leaves the others as they are."""
    torch.manual_seed(0)
    weights, activations = (minifloat("mxfp4", base) for base in (MXFloat8e4m3Weight, MXFloat8e4m3Act))
    blocks = linear(weights, activations, channels=640)
    net = nn.Sequential(qnn.QuantConv2d(40, 40, 1, weight_bit_width=4), nn.Flatten(), blocks).eval()
    _, scheme = integers(net, pixels(4))
    assert len(scheme.blocks) == len(scheme.weights) == 1
    assert set(scheme.blocks.values()) == {BlockStorage(weights="mxfp4", activations="mxfp4")}
