"""An always-on detector that mostly sleeps: ``python -m examples.gated_detector``.

Trains a network that finds one digit among ten, with a Gated Compression layer behind its first convolution, compiles
it to integers, chooses the gate's threshold on images held back from training, and measures the integer program: how
many negatives stop at the gate, how many positives it loses, how many channels cross the cut, and the accuracy beside
that of the same network trained without a gate. One thread, fixed seed, less than a minute.

Source: Li et al., Enhancing Always-On Sensing with Gated Compression (arXiv 2303.08970).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import edgegate
from edgegate.errors import ExitCode
from edgegate.nn import GatedCompression, gate_losses
from edgegate.point import curves
from examples import digits
from examples.digits import Array
from examples.logic_net import moved

WEIGHTS = Path(__file__).parent / "weights" / "gated_detector.safetensors"
POSITIVE = 3
"""The digit that is looked for."""
STOPPED, LOST = 0.9, 0.01
"""The least share of negatives that must stop at the gate, and the most accuracy that this may cost."""
HELD_BACK = 297
"""Training images that only the gate's threshold is chosen on."""
RECALL = 0.99
ALPHA, BETA = 0.5, 0.3
"""Weights of the gate's loss and of the sparsity's."""
EPOCHS, BATCH, RATE = 40, 32, 4e-3
SHIFTED = 0.3
"""Share of the training images that are moved by up to one pixel each way."""
PARTS = {True: "gated.", False: "plain."}
"""Prefixes of the two networks' weights."""
FIRST, WIDE = 16, 32
"""Channels before and behind the cut."""


class Detector(nn.Module):  # type: ignore[misc]
    """Images [N, 1, 8, 8] in [0, 1] -> a score [N, 1], above 0 where the digit is seen."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, FIRST, 3, padding=1), nn.BatchNorm2d(FIRST), nn.ReLU(), nn.MaxPool2d(2))
        self.cut = GatedCompression(alpha=ALPHA, beta=BETA, pool="flatten") if gated else nn.Identity()
        self.rest = nn.Sequential(
            nn.Conv2d(FIRST, WIDE, 3, padding=1), nn.BatchNorm2d(WIDE), nn.ReLU(),
            nn.Conv2d(WIDE, WIDE, 3, padding=1), nn.BatchNorm2d(WIDE), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * WIDE, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """The score."""
        return self.rest(self.cut(self.first(x)))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An integer program on images that nothing has seen.

    Attributes:
        stopped: Share of the negatives that stop at the gate.
        lost: Share of the positives that do.
        accuracy: Share of right answers; what stops is a negative.
    """

    stopped: float
    lost: float
    accuracy: float


def train(gated: bool, seed: int = 0) -> Detector:
    """Train a fresh network; the result is in evaluation mode."""
    torch.manual_seed(seed)
    images, positive = (torch.from_numpy(a[HELD_BACK:]) for a in _known())
    net = Detector(gated).train()
    images = moved(images)
    net(images[:BATCH, 4])  # the cut learns its channels
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * (len(images) // BATCH))
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            wanted = positive[batch].float()
            place = torch.where(torch.rand(BATCH) < SHIFTED, torch.randint(0, 9, (BATCH,)), 4)
            loss = functional.binary_cross_entropy_with_logits(net(images[batch, place])[:, 0], wanted)
            if gated:
                loss = loss + gate_losses(net, wanted).total
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def trained(gated: bool) -> Detector:
    """The network with its committed weights."""
    kept = load_file(WEIGHTS)
    net = Detector(gated)
    net.load_state_dict({k.removeprefix(PARTS[gated]): v for k, v in kept.items() if k.startswith(PARTS[gated])})
    return net.eval()


def compiled(net: Detector) -> edgegate.Artifact:
    """The artifact; with a gate, its threshold is chosen on the images held back."""
    images, positive = _known()
    gate = {"gate_data": {"x": images[:HELD_BACK], "labels": positive[:HELD_BACK]}, "recall": RECALL}
    gated = any(isinstance(m, GatedCompression) for m in net.modules())
    calib = {"x": images[HELD_BACK:][: digits.CALIBRATION]}
    return edgegate.compile(net, (torch.from_numpy(images[:1]),), calib=calib, **(gate if gated else {}))


def kept(net: Detector) -> int:
    """Channels that cross the cut."""
    return sum(int(m.kept().sum()) for m in net.modules() if isinstance(m, GatedCompression))


def measured(artifact: edgegate.Artifact, point: str | None = None) -> Measured:
    """What the program does with the test images, at an operating point."""
    test = digits.load()[1]
    positive = test.labels == POSITIVE
    found = artifact.session(threads=1, operating_point=point)(test.images)
    score, passed = found if isinstance(found, tuple) else (found, np.ones((len(positive), 1), np.bool_))
    seen = passed[:, 0] & (score[:, 0] > 0)
    return Measured(
        stopped=float(np.mean(~passed[~positive])), lost=float(np.mean(~passed[positive])),
        accuracy=float(np.mean(seen == positive)),
    )  # fmt: skip


def _known() -> tuple[Array, Array]:
    """All training images, and which of them show the digit."""
    part = digits.load()[0]
    return part.images, part.labels == POSITIVE


def main() -> None:
    """Train, compile, measure and report; fails if too few negatives stop, or accuracy is lost."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    nets = {gated: train(gated) for gated in (True, False)}
    artifact, plain = compiled(nets[True]), measured(compiled(nets[False]))
    table = Table("program", "negatives stopped", "positives lost", "accuracy", title=f"finding the digit {POSITIVE}")
    table.add_row("without a gate", "", "", f"{plain.accuracy:.1%}")
    points = {"as calibrated": None, **{f"recall={r}": f"recall={r}" for r in (0.9, 1.0)}}
    rows = {name: measured(artifact, point) for name, point in points.items()}
    for name, row in rows.items():
        table.add_row(f"gate, {name}", f"{row.stopped:.1%}", f"{row.lost:.1%}", f"{row.accuracy:.1%}")
    console = Console()
    console.print(table)
    curve = curves(artifact)["gate_0"]
    console.print(
        f"{kept(nets[True])} of {FIRST} channels cross the cut; a curve of {len(curve.thresholds)} thresholds."
    )
    found = rows["as calibrated"]
    if found.stopped < STOPPED or found.accuracy < plain.accuracy - LOST:
        console.print(f"expected {STOPPED:.0%} of the negatives to stop, at {100 * LOST:.0f} point of accuracy")
        raise SystemExit(ExitCode.MISMATCH)
    save_file({f"{PARTS[gated]}{k}": v for gated, net in nets.items() for k, v in net.state_dict().items()}, WEIGHTS)


if __name__ == "__main__":
    main()
