"""brevitas quantizers whose scales belong to groups: taken as the block format that they are, or refused."""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnx_ir as ir
import pytest
import torch
from brevitas.quant.mx_quant_ocp import (
    MXFloat8e4m3Act,
    MXFloat8e4m3Weight,
    MXInt8Act,
    MXInt8Weight,
)
from torch import nn

import edgegate
from edgegate import stages
from edgegate.errors import CompileError
from edgegate.frontend import load
from edgegate.graph import array
from edgegate.passes import FLOAT, run
from edgegate.quant.formats import format_named
from edgegate.quant.storage import BlockStorage
from tests.frontend.test_brevitas import floats, images, integers

SIZES = {"mxfp8_e4m3": (8, 4, 3), "mxfp6_e2m3": (6, 2, 3), "mxfp6_e3m2": (6, 3, 2), "mxfp4": (4, 2, 1)}


def minifloat(name: str, base: Any) -> Any:
    bits, exponent, mantissa = SIZES[name]
    sizes = {"bit_width": bits, "exponent_bit_width": exponent, "mantissa_bit_width": mantissa}
    return type(name, (base,), sizes)


class NarrowWeight(MXInt8Weight):
    narrow_range = True


class FourBitWeight(NarrowWeight):
    bit_width = 4


def linear(weights: Any, activations: Any = None) -> Any:
    torch.manual_seed(0)
    return qnn.QuantLinear(64, 8, bias=True, weight_quant=weights, input_quant=activations).eval()


def rows(count: int) -> torch.Tensor:
    return torch.randn((count, 64), generator=torch.Generator().manual_seed(3))


def normal(net: nn.Module, x: torch.Tensor) -> ir.Model:
    model = load(net, example=(x[:1],))
    run(model, FLOAT, stages.floating)
    return model


@pytest.mark.parametrize(
    ("quantizer", "name"),
    [(minifloat(name, MXFloat8e4m3Weight), name) for name in SIZES]
    + [(NarrowWeight, "mxint8"), (FourBitWeight, "bfp12_b32")],
)
@pytest.mark.parametrize("conv", [False, True])
def test_weights_are_stored_as_they_were_trained(quantizer: Any, name: str, conv: bool) -> None:
    layer = qnn.QuantConv2d(64, 8, 3, bias=True, weight_quant=quantizer).eval() if conv else linear(quantizer)
    model = normal(nn.Sequential(layer), torch.randn(1, 64, 5, 5) if conv else rows(1))
    node = model.graph[-1]
    assert node.metadata_props["edgegate.blocks"] == f'{{"activations": null, "weights": "{name}"}}'
    data = array(node.inputs[1])
    assert data is not None
    trained = layer.quant_weight().value.detach().numpy()
    assert np.array_equal(data if conv else data.T, trained)
    blocks = np.moveaxis(trained, 1, -1).astype(np.float64)
    assert np.array_equal(format_named(name).quantize(blocks).values(), blocks)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3"])
def test_a_network_in_blocks_becomes_integers(name: str) -> None:
    """The integers are rounded once more, where a block takes 16 bits of its input: else they are brevitas' own."""
    torch.manual_seed(0)
    quantizers = {
        "weight_quant": minifloat(name, MXFloat8e4m3Weight), "input_quant": minifloat(name, MXFloat8e4m3Act),
    }  # fmt: skip
    net = nn.Sequential(
        qnn.QuantLinear(64, 32, True, **quantizers), nn.ReLU(), qnn.QuantLinear(32, 8, True, **quantizers)
    )
    x = rows(48)
    got, scheme = integers(net.eval(), x)
    want = floats(net, x)
    assert set(scheme.blocks.values()) == {BlockStorage(weights=name, activations=name)}
    assert not scheme.transforms
    error = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))
    assert error < 0.04
    assert (got.argmax(1) == want.argmax(1)).mean() > 0.95


def test_inputs_of_blocks_have_scales_that_are_powers_of_two() -> None:
    net = nn.Sequential(linear(minifloat("mxfp4", MXFloat8e4m3Weight), minifloat("mxfp4", MXFloat8e4m3Act)))
    _, scheme = integers(net, rows(4))
    (source, *_) = scheme.values.values()
    assert source.dtype == "int16"
    assert np.frexp(source.scale)[0] == 0.5


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (lambda: [linear(MXInt8Weight)], "0 (weight_quant): no block format stores what it makes"),
        (lambda: [linear(NarrowWeight, MXInt8Act)], "0 (input_quant): no block format does to"),
        (lambda: [qnn.QuantIdentity(act_quant=MXFloat8e4m3Act, group_dim=-1), nn.Linear(64, 8)], "no input of a layer"),
        (lambda: [linear(FourBitWeight)], "its activations have no block format"),
        (lambda: [linear(MXFloat8e4m3Weight, MXFloat8e4m3Act)], "have no integer form"),
    ],
)  # fmt: skip
def test_what_no_block_format_is_is_refused_by_name(parts: Any, said: str) -> None:
    with pytest.raises(CompileError) as error:
        edgegate.quantize(nn.Sequential(*parts()).eval(), (rows(1),), input_range=(-1.0, 1.0))
    assert said in str(error.value)


def test_images_keep_their_layers_in_int8_beside_blocks() -> None:
    """A quantizer per group in one layer leaves the others as they are."""
    torch.manual_seed(0)
    blocks = qnn.QuantLinear(
        144, 8, True, weight_quant=minifloat("mxfp4", MXFloat8e4m3Weight),
        input_quant=minifloat("mxfp4", MXFloat8e4m3Act),
    )  # fmt: skip
    net = nn.Sequential(qnn.QuantConv2d(4, 4, 1, weight_bit_width=4), nn.Flatten(), blocks).eval()
    _, scheme = integers(net, images(4))
    assert len(scheme.blocks) == len(scheme.weights) == 1
