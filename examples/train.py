"""Trains the example networks and writes their weights: ``python -m examples.train``.

One thread, fixed seeds and deterministic kernels: the same machine and versions give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from examples import digits, gated_conv, glu_classifier, logic_net


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is trained.

    Attributes:
        example: The module with ``build`` and ``WEIGHTS``.
        epochs: Passes over the training images.
        rate: Peak learning rate of AdamW, in (0, 1).
        accuracy: The share of test images that the trained network must get right, in [0, 1].
    """

    example: ModuleType
    epochs: int
    rate: float
    accuracy: float

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.rate < 1 or not 0 <= self.accuracy <= 1:
            raise ValueError(f"impossible recipe: {self}")


RECIPES = {
    "gated_conv": Recipe(example=gated_conv, epochs=60, rate=4e-3, accuracy=0.98),
    "glu_classifier": Recipe(example=glu_classifier, epochs=120, rate=4e-3, accuracy=0.965),
}
BATCH = 64


def trained(name: str) -> nn.Module:
    """The example network called ``name`` with its committed weights, ready to evaluate."""
    example = RECIPES[name].example
    net = example.build()
    net.load_state_dict(load_file(example.WEIGHTS))
    return net.eval()


def accuracy(net: nn.Module, part: digits.Digits) -> float:
    """The share of images whose largest logit is the label's, in [0, 1]."""
    with torch.inference_mode():
        found = net(torch.from_numpy(part.images)).argmax(1).numpy()
    return float((found == part.labels).mean())


def train(recipe: Recipe, seed: int = 0) -> nn.Module:
    """Train a fresh network by ``recipe``; the result is in evaluation mode."""
    torch.manual_seed(seed)
    part, _ = digits.load()
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    net = recipe.example.build().train()
    steps = recipe.epochs * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(labels))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            logits = net(_shifted(images[batch]))
            functional.cross_entropy(logits, labels[batch], label_smoothing=0.05).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def _shifted(images: Tensor) -> Tensor:
    """``images`` moved by up to one pixel each way, all alike: [N, 1, 8, 8] -> [N, 1, 8, 8]."""
    down, right = torch.randint(0, 3, (2,)).tolist()
    return functional.pad(images, (1, 1, 1, 1))[..., down : down + 8, right : right + 8]


def main() -> None:
    """Train and write every example; fails if one misses its accuracy."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    _, test = digits.load()
    for name, recipe in RECIPES.items():
        net = train(recipe)
        reached = accuracy(net, test)
        if reached < recipe.accuracy:
            raise SystemExit(f"{name}: {reached:.1%} of test images right, {recipe.accuracy:.1%} wanted")
        recipe.example.WEIGHTS.parent.mkdir(exist_ok=True)
        save_file(net.state_dict(), recipe.example.WEIGHTS)
        size = sum(p.numel() for p in net.parameters())
        print(f"{name}: {size:,} parameters, {reached:.1%} of {len(test.labels)} test images right")
    logic_net.main()


if __name__ == "__main__":
    main()
