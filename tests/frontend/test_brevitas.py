"""Networks with brevitas quantizers: every integer and every scale comes out as it was trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import onnxruntime
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.graph.gptq import gptq_mode
from torch import nn

import edgegate
from edgegate.errors import CompileError
from edgegate.frontend import load
from tests.frontend.brevitas_nets import Apart, entry, floats, integers, settled


def images(count: int = 16) -> torch.Tensor:
    return torch.rand((count, 4, 6, 6), generator=torch.Generator().manual_seed(1)) * 2 - 1


def seen(*parts: nn.Module) -> nn.Module:
    """The parts in a row, their scales settled on a few batches, in eval mode."""
    torch.manual_seed(0)
    return settled(images(), nn.Sequential(*parts))


class Beside(nn.Module):
    """Modules that all read one quantized input; a tuple of what they make."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.enter, self.parts = entry(), nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.enter(x)
        return tuple(part(x) for part in self.parts)


def test_the_stored_weights_are_the_trained_integers() -> None:
    """Of every width, with one scale and with one per channel."""
    widths = [*range(2, 9), *range(2, 9)]
    quantizers = [bq.Int8WeightPerTensorFloat] * 7 + [bq.Int8WeightPerChannelFloat] * 7
    layers = [
        qnn.QuantConv2d(4, 8, 3, bias=True, weight_quant=quantizer, weight_bit_width=bits, bias_quant=bq.Int32Bias)
        for quantizer, bits in zip(quantizers, widths, strict=True)
    ]
    net = seen(Beside(layers))
    _, scheme, _ = edgegate.quantize(net, (images(1),), input_range=(-1.0, 1.0))
    assert len(scheme.weights) == len(layers)
    for layer, storage, bits in zip(layers, scheme.weights.values(), widths, strict=True):
        trained = layer.quant_weight()
        assert storage.bits <= bits
        assert np.array_equal(storage.quantize(trained.value.detach().numpy()), trained.int().numpy())
        scales = np.broadcast_to(trained.scale.detach().numpy().ravel(), 8)
        assert np.array_equal(np.array(storage.scales, np.float32), scales)


def test_activations_keep_scale_and_clip() -> None:
    """Of every width, with and without a sign, past what was seen."""
    widths, signs = [*range(2, 9), *range(2, 9)], [True] * 7 + [False] * 7
    kinds = {True: qnn.QuantIdentity, False: qnn.QuantReLU}
    net = seen(Beside([kinds[signed](bit_width=bits) for signed, bits in zip(signs, widths, strict=True)]))
    net[0].enter = entry(16)
    net[0].train()(images() * 4)
    x = images(1) * 4
    got, scheme = integers(net.eval(), x)
    scales = {s.scale for s in scheme.values.values()}
    for signed, bits, part, y, want in zip(signs, widths, net[0].parts, got, floats(net, x), strict=True):
        scale = float(part.act_quant.scale())
        assert scale in scales
        stored = np.rint(y / scale)
        high = (1 << (bits - 1 if signed else bits)) - 1
        assert (stored.min(), stored.max()) == (-high - 1 if signed else 0, high)
        assert np.abs(y - want).max() < 1.01 * scale
        assert (np.abs(y - want) > scale / 2).mean() < 0.02


LAYERS: list[Callable[[], list[nn.Module]]] = [
        lambda: [entry(), qnn.QuantConvTranspose2d(4, 6, 4, stride=2, padding=1, bias=True,
                                                   weight_quant=bq.Int8WeightPerChannelFloat), entry()],
        lambda: [entry(), qnn.QuantConv2d(4, 8, 3, groups=4, weight_bit_width=5), entry(6)],
        lambda: [entry(), nn.Flatten(2), qnn.QuantConv1d(4, 6, 3, weight_bit_width=4, bias=True), entry()],
        lambda: [entry(), nn.MaxPool2d(2), entry(4)],
        lambda: [entry(), nn.AvgPool2d(2), entry(7)],
        lambda: [qnn.QuantConv2d(4, 8, 3, bias=True, input_quant=bq.Int8ActPerTensorFixedPoint), entry()],
        lambda: [entry(act_quant=bq.ShiftedUint8ActPerTensorFloat), qnn.QuantConv2d(4, 8, 3), entry(5)],
        lambda: [entry(), nn.Flatten(), qnn.QuantLinear(144, 10, bias=True, weight_bit_width=2), entry()],
        lambda: [entry(), qnn.QuantConv2d(4, 8, 3), qnn.QuantSigmoid(bit_width=8)],
        lambda: [entry(), qnn.QuantConv2d(4, 8, 3, bias=True), qnn.QuantTanh(bit_width=6)],
        lambda: [entry(), qnn.QuantConv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), qnn.QuantReLU(bit_width=4)],
        lambda: [entry(16), qnn.QuantConv2d(4, 8, 3, bias=True, weight_bit_width=4), entry()],
]  # fmt: skip


@functools.cache
def layers_apart() -> tuple[nn.Module, list[np.ndarray], list[np.ndarray]]:
    """All of them in one net: what integers make of it, and what brevitas makes of the same input."""
    torch.manual_seed(0)
    net = settled(images(), Apart([nn.Sequential(*parts()) for parts in LAYERS]))
    got, scheme = integers(net, images())
    return net, got, floats(net, images(), scheme)


@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_one_layer_is_at_most_one_step_off(index: int) -> None:
    """And off at all only where the real value lies between two stored ones."""
    net, got, want = layers_apart()
    last = net.parts[index][-1]  # type: ignore[index, union-attr]
    found = np.abs(got[index] - want[index]) / float(last.act_quant.scale())
    assert found.max() < 1.01
    assert (found > 0.5).mean() < 0.02


class Gated(nn.Module):
    """A gated convolution with everything quantized, biases too."""

    def __init__(self) -> None:
        super().__init__()
        options: dict[str, Any] = {"bias": True, "weight_bit_width": 4, "bias_quant": bq.Int32Bias}
        self.enter = entry()
        self.value = qnn.QuantConv2d(4, 8, 3, **options)
        self.gate = qnn.QuantConv2d(4, 8, 3, output_quant=bq.Int8ActPerTensorFloat, **options)
        self.act, self.sigmoid = qnn.QuantTanh(bit_width=8), qnn.QuantSigmoid(bit_width=8)
        self.product = entry()
        self.head = qnn.QuantLinear(128, 10, output_quant=bq.Int8ActPerTensorFloat, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        y = self.product(self.act(self.value(x)) * self.sigmoid(self.gate(x)))
        return self.head(y.flatten(1))  # type: ignore[no-any-return]


def test_a_gated_network_agrees_and_its_gate_is_named() -> None:
    net = seen(Gated())
    x = images(64)
    data, scheme, report = edgegate.quantize(net, (x[:1],), calib={"": x.numpy()})
    session = onnxruntime.InferenceSession(data)
    name = session.get_inputs()[0].name
    got = np.concatenate([session.run(None, {name: x[i : i + 1].numpy()})[0] for i in range(len(x))])
    (want,) = floats(net, x)
    assert (got.argmax(1) == want.argmax(1)).mean() > 0.95
    scale = float(net[0].head.output_quant.scale())
    assert np.abs(got - want).max() < 1.01 * scale
    assert {s.bits for s in scheme.weights.values()} == {4}
    assert sorted({s.dtype for s in scheme.values.values()}) == ["int16", "int8", "uint8"]
    (gate,) = report["gates"].values()
    assert (gate["kind"], gate["family"], gate["activation"], gate["value_activation"]) == (
        "Paired", "F2", "Sigmoid", "Tanh",
    )  # fmt: skip


def test_the_module_stays_as_it_is_and_its_layers_name_the_nodes() -> None:
    net = seen(Gated()).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    model = load(net, example=(images(1),))
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert "forward" not in vars(net[0].enter.act_quant)
    assert isinstance(net.eval()[0].enter(images(1)), tuple)  # still a QuantTensor
    layers = {n.metadata_props["edgegate.layer"] for n in model.graph if n.op_type != "Mul"}
    assert {"0.enter", "0.value", "0.gate", "0.act", "0.sigmoid", "0.product", "0.head"} >= layers - {"0"}
    assert all(n.metadata_props["edgegate.source"].startswith("test_brevitas.py:") for n in model.graph)


def test_an_archive_would_lose_the_scales(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="compile the module itself"):
        edgegate.save(seen(entry()), (images(1),), tmp_path / "net.pt2")
    assert not list(tmp_path.iterdir())


def test_two_layers_may_share_a_quantizer_and_a_calibrated_model_passes_straight_in() -> None:
    first = qnn.QuantLinear(6, 6, bias=False, weight_bit_width=4)
    second = qnn.QuantLinear(6, 6, bias=False, weight_quant=first.weight_quant)
    shared = seen(entry(), first, entry(), second, entry())
    assert not torch.equal(first.quant_weight().value, second.quant_weight().value)
    calibrated = nn.Sequential(entry(), qnn.QuantConv2d(4, 8, 3, bias=True), qnn.QuantReLU(bit_width=6)).eval()
    with torch.no_grad(), calibration_mode(calibrated):
        calibrated(images())
    net = Apart([shared, calibrated]).eval()
    got, _ = integers(net, images())
    for part, y, want, most in zip((shared, calibrated), got, floats(net, images()), (2.01, 1.01), strict=True):
        assert np.abs(y - want).max() < most * float(part[-1].act_quant.scale())


def test_a_gptq_model_passes_straight_in() -> None:
    layer = qnn.QuantLinear(144, 5, bias=True, weight_bit_width=3, weight_quant=bq.Int8WeightPerChannelFloat)
    net = seen(nn.Flatten(), entry(), layer, entry())
    before = layer.weight.detach().clone()
    with torch.no_grad(), gptq_mode(net, use_quant_activations=True) as gptq:
        for _ in range(gptq.num_layers):
            gptq.model(images())
            gptq.update()  # type: ignore[no-untyped-call]
    chosen = layer.quant_weight()
    assert not torch.equal(before, layer.weight)  # it did something
    _, scheme = integers(net, images(2))
    (storage,) = scheme.weights.values()
    wanted = chosen.int(float_datatype=False).numpy()
    stored = storage.quantize(chosen.value.detach().numpy().T).T
    assert np.array_equal(stored >> (storage.bits - int(np.abs(wanted).max()).bit_length() - 1), wanted)


class Truncated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.pool = entry(), qnn.TruncAvgPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(self.enter(x))  # type: ignore[no-any-return]


class Floored(bq.Int8ActPerTensorFloat):
    float_to_int_impl_type = "FLOOR"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (lambda: [Truncated()], "0.pool (trunc_quant): truncates what it gets"),
        (lambda: [entry(act_quant=Floored)], "0 (act_quant): rounds by FLOOR"),
        (lambda: [qnn.QuantIdentity(
            bit_width=8, scaling_per_output_channel=True, scaling_stats_permute_dims=(1, 0, 2, 3),
            per_channel_broadcastable_shape=(1, 4, 1, 1))], "0 (act_quant): has more than one"),
        (lambda: [entry(), qnn.QuantConv2d(4, 8, 3, weight_quant=bq.ShiftedUint8WeightPerTensorFloat)],
         "steps from the zero point, past [-127, 127]"),
    ],
)  # fmt: skip
def test_what_integers_cannot_follow_is_refused_by_name(parts: Any, said: str) -> None:
    with pytest.raises(CompileError) as error:
        edgegate.quantize(seen(*parts()), (images(1),), input_range=(-1.0, 1.0))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
