"""A SwiGLU network on scikit-learn's digits, trained here and quantized in blocks: accuracy by transform.

64 -> 128 -> 64 -> 10 with a skip: ``h = down(silu(gate(x)) * up(x)) + skip(x)``, ``y = head(h)``. Weights and inputs of
all five linears are stored in the format; gate, up and skip read one input and share one transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat, format_named
from edgegate.quant.moments import MomentsSum, weight_moments
from edgegate.quant.transforms import build, tuned
from edgegate.quant.transforms.gptq import gptq
from tests.bench_quant_layers import Figure, stored

FORM, KINDS = "bfp11", ("identity", "hadamard", "wush_diag", "wush", "wush tuned", "wush gptq")
EPOCHS, BATCH, RATE, DECAY = 60, 32, 3e-3, 1e-3


class Net(nn.Module):
    """Biases only where no linear reads the result without a gate: in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(64, 128, bias=False), nn.Linear(64, 128, bias=False)
        self.down, self.skip = nn.Linear(128, 64, bias=False), nn.Linear(64, 64, bias=False)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.down(nn.functional.silu(self.gate(x)) * self.up(x)) + self.skip(x)
        return self.head(hidden)


@cache
def data(seed: int) -> tuple[Array, Array, Array, Array]:
    """Inputs in [0, 1] and labels: half to train and calibrate with, half to test."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    half = len(images) // 2
    train, test = order[:half], order[half:]
    return images[train] / 16, labels[train], images[test] / 16, labels[test]


@cache
def trained(seed: int) -> dict[str, Array]:
    """The weights [K, N] of every linear, and the head's bias, float64. One thread: sums in one order."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    images, labels = (torch.from_numpy(a) for a in data(seed)[:2])
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch].float()), labels[batch]).backward()
            optimizer.step()
    found = {name: value.detach().double().numpy() for name, value in net.named_parameters()}
    return {name.removesuffix(".weight"): value.T for name, value in found.items()}


def linear(weights: list[Array], form: BlockFormat | None, name: str, seen: Array, x: Array) -> list[Array]:
    """``x @ w`` for layers that share one input, in blocks: the transform is built from the input ``seen``."""
    if form is None:
        return [x @ w for w in weights]
    sums = MomentsSum(x.shape[1], form.block)
    sums.add(seen)
    if name == "wush gptq":
        whole = MomentsSum(x.shape[1], x.shape[1])
        whole.add(seen)
        done = gptq(np.concatenate(weights, axis=1), whole.result().blocks[0], form, kind="wush")
        result = stored(form, done.transform.apply_x(x)) @ done.values
        return np.split(result, np.cumsum([w.shape[1] for w in weights])[:-1], axis=1)
    kind: Any = name.removesuffix(" tuned")
    transform = build(kind, sums.result(), weight_moments(weights, form.block))
    if kind != name:
        transform = tuned(transform, sums.result(), weights, form)
    inputs = stored(form, transform.apply_x(x))
    return [inputs @ stored(form, np.ascontiguousarray(transform.apply_w(w).T)).T for w in weights]


def logits(seed: int, kind: str, form: BlockFormat | None) -> Array:
    """Of the test half; every layer is calibrated with the float network's input on the other half."""
    net, (train, _, x, _) = trained(seed), data(seed)

    def layer(names: list[str], seen: Array, given: Array) -> tuple[list[Array], list[Array]]:
        weights = [net[name] for name in names]
        return [seen @ w for w in weights], linear(weights, form, kind, seen, given)

    (gate_f, up_f, skip_f), (gate, up, skip) = layer(["gate", "up", "skip"], train, x)
    hidden_f, hidden = (g / (1 + np.exp(-g)) * u for g, u in ((gate_f, up_f), (gate, up)))
    (down_f,), (down,) = layer(["down"], hidden_f, hidden)
    return layer(["head"], down_f + skip_f, down + skip)[1][0] + net["head.bias"]


def accuracy(seed: int, kind: str, form: BlockFormat | None) -> float:
    """Percent of the test half."""
    return 100 * float((logits(seed, kind, form).argmax(axis=1) == data(seed)[3]).mean())


def digits_figures(seeds: Sequence[int]) -> Iterator[Figure]:
    """Points of accuracy that WUSH is above the others, in the mean over the seeds."""
    form = format_named(FORM)
    every = {kind: np.array([accuracy(seed, kind, form) for seed in seeds]) for kind in KINDS}
    found = {kind: float(values.mean()) for kind, values in every.items()}
    error = float((every["wush tuned"] - every["identity"]).std(ddof=1) / len(seeds) ** 0.5) if len(seeds) > 1 else 0.0
    exact = float(np.mean([accuracy(seed, "identity", None) for seed in seeds]))
    print(f"digits, {len(seeds)} seeds: float {exact:.2f} %, {FORM}", {k: round(v, 2) for k, v in found.items()})
    print(f"digits: standard error of wush tuned over identity: {error:.2f} points")
    for kind, least in (("identity", 1.5), ("hadamard", 4.0)):
        points = found["wush tuned"] - found[kind]
        yield Figure(name=f"digits, {FORM}: points of wush tuned over {kind}", value=points, least=least)
