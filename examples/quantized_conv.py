"""A gated convolution network trained in few bits with brevitas: ``python -m examples.quantized_conv``.

Trains the network in float, quantizes it after training (brevitas' calibration alone), trains it on in 4 and in 2
bits, and compiles all: what each integer program gets right is printed beside the float network. One thread, fixed
seeds.

Quantization-aware training: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, section 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import torch
from brevitas.graph.calibrate import calibration_mode
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import edgegate
from examples import digits
from examples.digits import Array
from examples.engines import in_onnx_runtime, one_by_one

WEIGHTS = Path(__file__).parent / "weights" / "quantized_conv.safetensors"
BITS = 4
"""Of the committed weights."""
ACCURACY = 0.985
"""The share of test images that the integer program with the committed weights must get right."""
EPOCHS, BATCH = 40, 64


class QuantGatedConv(nn.Module):
    """tanh(value) * sigmoid(gate), a convolution for each, all in few bits: [N, C, H, W] -> [N, out, H, W]."""

    def __init__(self, channels: int, out: int, stride: int, bits: int) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "kernel_size": 3, "stride": stride, "padding": 1, "weight_bit_width": bits,
            "weight_quant": bq.Int8WeightPerChannelFloat, "output_quant": bq.Int8ActPerTensorFloat,
        }  # fmt: skip
        self.value = qnn.QuantConv2d(channels, out, **options)
        self.gate = qnn.QuantConv2d(channels, out, **options)
        self.tanh, self.sigmoid = qnn.QuantTanh(bit_width=8), qnn.QuantSigmoid(bit_width=8)
        self.product = qnn.QuantIdentity(bit_width=bits)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(self.tanh(self.value(x)) * self.sigmoid(self.gate(x)))  # type: ignore[no-any-return]


class QuantGatedNet(nn.Module):
    """[N, 1, 8, 8] in [0, 1] -> logits [N, 10]; weights, and the inputs of all layers but the first, in ``bits``."""

    def __init__(self, bits: int = BITS) -> None:
        super().__init__()
        self.enter = qnn.QuantIdentity(bit_width=8)
        self.stem = QuantGatedConv(1, 16, 1, bits)
        self.down = QuantGatedConv(16, 24, 2, bits)
        self.head = qnn.QuantLinear(384, 10, weight_bit_width=bits, weight_quant=bq.Int8WeightPerChannelFloat)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.down(self.stem(self.enter(x))), 1))  # type: ignore[no-any-return]


def build() -> nn.Module:
    """The network, untrained: the weights are a file of their own (``WEIGHTS``)."""
    return QuantGatedNet()


def trained() -> nn.Module:
    """The network with its committed weights and scales, ready to evaluate."""
    net = build()
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval()


def train(net: nn.Module, epochs: int, rate: float, seed: int = 0) -> nn.Module:
    """Train ``net`` on; the result is in evaluation mode."""
    torch.manual_seed(seed)
    part, _ = digits.load()
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    optimiser = torch.optim.AdamW(net.train().parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(labels))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(net(images[batch]), labels[batch], label_smoothing=0.05).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def in_float(net: nn.Module) -> nn.Module:
    """``net`` with all its quantizers switched off; their activation functions stay."""
    from brevitas.proxy.quant_proxy import QuantProxyFromInjector

    for part in net.modules():
        if isinstance(part, QuantProxyFromInjector):
            part.disable_quant = True
    return net


def calibrated(weights: dict[str, Tensor], bits: int) -> nn.Module:
    """A fresh network with the float weights and scales from the calibration images, by brevitas' own calibration."""
    net = QuantGatedNet(bits)
    net.load_state_dict(weights, strict=False)
    with torch.no_grad(), calibration_mode(net.eval()):
        net(torch.from_numpy(digits.calibration()))
    return net.eval()


def logits(net: nn.Module, images: Array) -> Array:
    """What the integer program of ``net`` makes of the images: float32 [N, 10]. Its scales are the network's own."""
    example, data = (torch.from_numpy(images[:1]),), digits.calibration()
    graph, _, _ = edgegate.quantize(net, example, calib={"": data})
    return one_by_one(in_onnx_runtime(graph, as_written=True), images)


def main() -> None:
    """Train, compile and report; fails if the program misses its accuracy."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    _, test = digits.load()
    net = train(in_float(build()), EPOCHS, 4e-3)
    weights = {k: v for k, v in net.state_dict().items() if k.endswith((".weight", ".bias"))}
    with torch.inference_mode():
        rows = {"torch, float32": net(torch.from_numpy(test.images)).numpy()}
    made = {}
    for bits in (BITS, 2):
        made[bits] = calibrated(weights, bits)
        rows[f"integers, {bits} bits after training"] = logits(made[bits], test.images)
        train(made[bits], EPOCHS // 2, 2e-3)
        rows[f"integers, trained in {bits} bits"] = logits(made[bits], test.images)
    right = {name: float(np.mean(found.argmax(1) == test.labels)) for name, found in rows.items()}
    table = Table("network", "accuracy", title=f"gated convolutions, {len(test.labels)} unseen images")
    for name, share in right.items():
        table.add_row(name, f"{share:.1%}")
    Console().print(table)
    if right[f"integers, trained in {BITS} bits"] < ACCURACY:
        raise SystemExit(f"less than {ACCURACY:.1%} of the images are right")
    save_file(made[BITS].state_dict(), WEIGHTS)


if __name__ == "__main__":
    main()
