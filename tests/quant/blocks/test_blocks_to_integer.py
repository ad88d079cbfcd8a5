"""Layers in blocks as integers: the numbers that the formats define, in every engine."""

import dataclasses
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

from edgegate import interpreter, stages
from edgegate.errors import CompileError
from edgegate.passes import INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.passes.to_integer.blocks import integer_formats
from edgegate.quant import Recipe, Scheme, Storage, block_inputs, quantize
from edgegate.quant.formats import format_named
from edgegate.quant.sharing import Groups
from edgegate.quant.transforms import fwht
from edgegate.quant.weights import layers
from tests.quant.blocks.nets import GatedConvs, SwiGlu, feeds, floats, made


def integers(net: nn.Module, batches: list[dict[str, np.ndarray]], **options: Any) -> tuple[ir.Model, Scheme]:
    model = floats(net, *batches[0]["x"].shape)
    _, scheme, _ = quantize(model, Recipe(**options), batches)
    to_integer(scheme)(model)
    stages.integer(model)
    return model, scheme


def values(model: ir.Model, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return interpreter.run(model, batch, keep=True)


class Line(nn.Module):
    """One linear, its input 40 channels: no whole block."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(40, 24)

    def forward(self, x):
        return self.layer(x)


class Taps(nn.Module):
    """One convolution with strides, dilations and pads of all kinds."""

    def __init__(self, *, flat: bool = False) -> None:
        super().__init__()
        self.layer = (
            nn.Conv1d(24, 8, 3, stride=2, padding=2, dilation=2)
            if flat
            else nn.Conv2d(24, 8, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1))
        )

    def forward(self, x):
        return self.layer(x)


def turned(x: np.ndarray, block: int) -> np.ndarray:
    """The Walsh-Hadamard transform of every block of the last axis, padded."""
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % block)))
    return fwht(padded.reshape(len(x), -1, block)).reshape(padded.shape)


PAIRS = ["bfp12", "bfp16", "w4a8_bfp", "mxfp4", "mxint8", "mxfp6_e2m3", "bfp16_quark", "bfp16_bump", "bfp16_aie_trunc",
         "msfp12:bfp12_b16", "nvfp4:bfp16_b16", "int4_g32:mxint8-ceil", "mxfp4-even"]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("transform", ["none", "hadamard"])
def test_a_layer_computes_what_its_formats_say(pair: str, transform: str) -> None:
    """The sum of a block layer is that of its quantized input and weights, both taken from the float definition."""
    net, batches = made(Line), feeds(3, 40, count=4)
    model, scheme = integers(net, batches, formats=(pair,), transform=transform, bias_correction=False)
    storage = next(iter(scheme.blocks.values()))
    assert storage.activations is not None
    block = format_named(storage.activations).block
    held = scheme.values["x"]
    weight, bias = (p.detach().numpy().astype(np.float64) for p in (net.layer.weight, net.layer.bias))
    for batch in batches:
        found = values(model, batch)
        scale, zero = np.array(held.scale, np.float32), np.zeros((), np.int16)
        x = interpreter.quantize(batch["x"], scale, zero).astype(np.float64)
        step, w = held.scale, weight
        if transform == "hadamard":
            x, w = (turned(a, block) for a in (x, weight))
            drop = (block.bit_length() - 1) // 2  # the bits that the rounding of 1 / sqrt(block) inputs makes noise
            x, w, step = np.floor(x / 2**drop + 0.5), w / block, step * 2**drop
        a, b = format_named(storage.activations).quantize(x), format_named(storage.weights).quantize(w)
        wanted = step * a.values() @ b.values().T + bias
        (output,) = (n for n in model.graph if n.op_type == "DequantizeLinear")
        target = scheme.values[str(output.outputs[0].name)]
        got = target.dequantize(found[str(output.inputs[0].name)])  # type: ignore[union-attr]
        wanted = np.clip(wanted, target.real_low, target.real_high)
        np.testing.assert_allclose(got, wanted, atol=0.51 * target.scale + 2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("flat", [True, False])
def test_convolutions_see_the_pixels_under_their_taps(flat: bool) -> None:
    net = Taps(flat=flat).eval()
    batches = feeds(2, 24, 11, count=3) if flat else feeds(2, 24, 7, 9, count=3)
    model, scheme = integers(net, batches, formats=("bfp16",), transform="none")
    target = scheme.values[str(model.graph.outputs[0].name)]
    for batch in batches:
        got = interpreter.run(model, batch)[str(model.graph.outputs[0].name)]
        wanted = net(torch.from_numpy(batch["x"])).detach().numpy()
        np.testing.assert_allclose(got, wanted, atol=target.scale + 0.02 * np.abs(wanted).max())


@pytest.mark.parametrize(("kind", "dims", "options"), [
    (SwiGlu, (1, 64), {"formats": ("bfp12",)}),
    (SwiGlu, (1, 64), {"formats": ("mxfp4",), "transform": "wush"}),
    (SwiGlu, (1, 64), {"formats": ("int4_g32:bfp16",), "rounding": "gptq"}),
    (GatedConvs, (1, 3, 8, 8), {"formats": ("w4a8_bfp",), "transform": "wush-diag"}),
    (GatedConvs, (1, 3, 8, 8), {"formats": ("nvfp4:bfp16_b16",), "transform": "wush", "transform_bits": 0}),
])  # fmt: skip
def test_one_answer(kind: type[nn.Module], dims: tuple[int, ...], options: dict[str, Any]) -> None:
    net = made(kind)
    batches = feeds(*dims, count=8, scale=getattr(net, "scale", 1.0))
    model, _ = integers(net, batches, **options)
    before = [interpreter.run(model, batch) for batch in batches]
    run(model, INTEGER, stages.integer)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    for batch, wanted in zip(batches, before, strict=True):
        (name,) = wanted
        np.testing.assert_array_equal(interpreter.run(model, batch)[name], wanted[name])
        np.testing.assert_array_equal(session.run(None, batch)[0], wanted[name])


def test_loud_channels_are_what_blocks_are_for() -> None:
    """8 bits for the whole input lose its quiet channels; blocks and their transform do not."""
    net = made(SwiGlu)
    batches = feeds(1, 64, count=64, scale=net.scale)
    wanted = np.concatenate([net(torch.from_numpy(b["x"])).detach().numpy() for b in batches])
    sqnr = {}
    for name in ("int8", "bfp16", "mxint8"):
        model, _ = integers(net, batches, formats=(name,), int16_below=None)
        got = np.concatenate([next(iter(interpreter.run(model, b).values())) for b in batches])
        sqnr[name] = 10 * np.log10(np.square(wanted).sum() / np.square(got - wanted).sum())
    assert sqnr["int8"] < 5 < 25 < min(sqnr["bfp16"], sqnr["mxint8"])


@pytest.mark.parametrize(("form", "words"), [
    ("mxfp8_e4m3:bfp12", "mxfp8_e4m3 weights have no integer form"),
    ("nvfp4", "nvfp4 activations have no integer form"),
    ("bfp12:int8_g32", "int8_g32 activations"), ("bfp12:none", "its activations have no block format"),
])  # fmt: skip
def test_formats_without_an_integer_form_are_refused_with_those_that_have_one(form: str, words: str) -> None:
    with pytest.raises(CompileError, match=words) as caught:
        integers(made(Line), feeds(1, 40), formats=(form,))
    assert "bfp1" in str(caught.value) and len(str(caught.value)) < 500


def test_the_formats_with_an_integer_form() -> None:
    found = integer_formats()
    assert {"bfp12", "mxint8", "mxfp4", "bfp16_bump"} <= set(found["activations"]) < set(found["weights"])
    assert {"nvfp4", "int4_g32"} <= set(found["weights"]) - set(found["activations"])
    assert not {"mxfp8_e5m2", "mxfp6_e3m2"} & set(found["weights"])


def test_zeros_stay_zeros() -> None:
    net = made(Line)
    with torch.no_grad():
        net.layer.weight[3:9] = 0
        net.layer.bias[3:6] = 0
    batches = [*feeds(2, 40, count=3), {"x": np.zeros((2, 40), np.float32)}]
    model, _ = integers(net, batches, formats=("bfp12",))
    for batch in batches:
        got = next(iter(interpreter.run(model, batch).values()))
        assert (got[:, 3:6] == 0).all()
        np.testing.assert_allclose(got[:, 6:9], np.broadcast_to(net.layer.bias[6:9].detach(), (2, 3)), atol=0.02)


def test_outputs_are_coarse_enough_for_the_widest_sum() -> None:
    """What no calibration has seen must be clipped, not wrapped: a rescale takes 32 bits before its clip."""
    net, batches = made(Line), feeds(2, 40, count=3)
    batches[0]["x"][0, 0] = 1e6  # so the widest sum is far beyond the output's own range
    model = floats(net, 2, 40)
    _, scheme, _ = quantize(model, Recipe(formats=("bfp12",), transform="none"), batches)
    name = str(model.graph.outputs[0].name)
    tiny = {**scheme.values, name: Storage(dtype="int16", scale=2.0**-40)}
    raised = block_inputs.within_int32(Groups(model), layers(model), scheme.blocks, tiny)
    widest = scheme.values["x"].real_high * np.abs(net.layer.weight.detach().numpy()).sum(axis=1).max()
    assert 1 < raised[name].scale * 2**31 / widest < 5
    assert raised["x"] == tiny["x"]
    finer = {**raised, name: dataclasses.replace(raised[name], scale=raised[name].scale / 100)}
    for values_, fine in ((raised, True), (finer, False)):
        again = floats(net, 2, 40)
        to_integer(dataclasses.replace(scheme, values=values_))(again)
        if fine:
            stages.integer(again)
        else:
            with pytest.raises(CompileError, match="rescaled value reaches"):
                stages.integer(again)
