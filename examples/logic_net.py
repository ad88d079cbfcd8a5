"""A logic gate network for 8x8 digits, trained and compiled: ``python -m examples.logic_net``.

Trains 24,000 gates by gradient descent, makes look-up tables of them, compiles these, and prints what the mixtures of
training, the gates, and the artifact get right on images that none has seen. One thread, fixed seed, half a minute.

Source: F. Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022 (arXiv 2210.08277); gates with four
parameters each: L. Ruettgers et al., "Light Differentiable Logic Gate Networks", 2025 (arXiv 2510.03250).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import edgegate
from edgegate.errors import ExitCode
from edgegate.nn import GroupSum, LogicLayer, Lut, Thermometer, relaxed
from edgegate.runtime import Session
from examples import digits
from examples.digits import Array

WEIGHTS = Path(__file__).parent / "weights" / "logic_net.safetensors"
ACCURACY, GAP = 0.975, 0.005
"""The share of test images that the gates must get right, and by how much the mixtures' may differ from it."""
BITS, WIDTH, LAYERS, TAU = 3, 8000, 3, 30.0
"""Bits of a pixel, gates of a layer, layers, temperature of the logits."""
EPOCHS, BATCH, RATE = 100, 64, 0.1
SHIFTED = 0.3
"""Share of the training images that are moved by up to one pixel each way."""


def network(layers: list[nn.Module]) -> nn.Module:
    """Images [N, 1, 8, 8] in [0, 1] -> logits [N, 10] by ``layers`` of gates."""
    return nn.Sequential(nn.Flatten(), Thermometer(BITS), *layers, GroupSum(10, TAU))


def build() -> nn.Module:
    """The network to train."""
    sizes = [64 * BITS, *[WIDTH] * LAYERS]
    return network([LogicLayer(i, o, parametrization="input-wise") for i, o in pairwise(sizes)])


def trained() -> nn.Module:
    """The network to deploy, with its committed gates and wiring."""
    kept = load_file(WEIGHTS)
    return network([Lut.of_gates(kept[f"{n}.gates"], kept[f"{n}.indices"]) for n in range(LAYERS)]).eval()


def stored(net: nn.Module) -> dict[str, Tensor]:
    """Gates, uint8 [WIDTH], and wiring, int16 [WIDTH, 2], of every layer of a network that :func:`build` made."""
    kept: dict[str, Tensor] = {}
    for n, layer in enumerate(part for part in net.modules() if isinstance(part, LogicLayer)):
        kept |= {f"{n}.gates": layer.gates().to(torch.uint8), f"{n}.indices": layer.indices.to(torch.int16)}
    return kept


def train(seed: int = 0, epochs: int = EPOCHS) -> nn.Module:
    """Train a fresh network; the result is in evaluation mode."""
    torch.manual_seed(seed)
    part, _ = digits.load()
    images, labels = moved(torch.from_numpy(part.images)), torch.from_numpy(part.labels)
    net = build().train()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * (len(labels) // BATCH))
    for _ in range(epochs):
        order = torch.randperm(len(labels))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            place = torch.where(torch.rand(BATCH) < SHIFTED, torch.randint(0, 9, (BATCH,)), 4)
            functional.cross_entropy(net(images[batch, place]), labels[batch]).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def moved(images: Tensor) -> Tensor:
    """``images`` moved by up to one pixel each way, number 4 by none: [N, 1, 8, 8] -> [N, 9, 1, 8, 8]."""
    padded = functional.pad(images, (1, 1, 1, 1))
    return torch.stack([padded[..., y : y + 8, x : x + 8] for y in range(3) for x in range(3)], 1)


def logits(net: nn.Module, images: Array) -> Array:
    """What torch makes of the images: float32 [N, 10]."""
    with torch.inference_mode():
        return np.asarray(net(torch.from_numpy(images)).numpy())


def compiled(net: nn.Module, images: Array) -> edgegate.Artifact:
    """The artifact for as many images at once."""
    return edgegate.compile(net, (torch.from_numpy(images),), target="llvm")


def gates(artifact: edgegate.Artifact) -> int:
    """Look-up tables of an artifact."""
    graph = onnx.load_model_from_string(artifact.files["model.onnx"]).graph
    tables = {node.input[2] for node in graph.node if node.op_type == "Logic"}
    return sum(t.dims[0] for t in graph.initializer if t.name in tables)


def main() -> None:
    """Train, compile and report; fails if the gates miss their accuracy, or the artifact differs in one bit."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    _, test = digits.load()
    net = train()
    with relaxed(net):
        rows = {"mixtures of gates, as trained": logits(net, test.images)}
    rows["gates"] = logits(net, test.images)
    artifact = compiled(net, test.images)
    rows["artifact (llvm)"] = np.asarray(Session(artifact, threads=1)(test.images))
    right = {name: float(np.mean(found.argmax(1) == test.labels)) for name, found in rows.items()}
    table = Table("network", "accuracy", title=f"logic gate network, {len(test.labels)} unseen images")
    for name, share in right.items():
        table.add_row(name, f"{share:.1%}")
    soft, hard, _ = right.values()
    console = Console()
    console.print(table)
    console.print(f"Discretisation gap {100 * abs(soft - hard):.1f} points, {LAYERS * WIDTH:,} gates of 2 inputs")
    console.print(f"became {gates(artifact):,} of 3. Artifact and torch: bit for bit.")
    if not np.array_equal(rows["gates"], rows["artifact (llvm)"]):
        raise SystemExit(ExitCode.MISMATCH)
    if hard < ACCURACY or abs(soft - hard) > GAP:
        raise SystemExit(
            f"less than {ACCURACY:.1%} of the images are right, or the gap is above {100 * GAP:.1f} points"
        )
    save_file(stored(net), WEIGHTS)


if __name__ == "__main__":
    main()
