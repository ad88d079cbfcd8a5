"""Small networks with gates, and what the tests of gates share."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgegate import compiler
from edgegate.nn import GatedCompression
from edgegate.options import CompileOptions


class Gated(nn.Module):
    """One or two cuts in a convolutional network."""

    def __init__(self, mask="static", cuts=1, pool="flatten") -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3)
        self.cuts = nn.ModuleList(GatedCompression(mask=mask, pool=pool) for _ in range(cuts))
        self.rest = nn.ModuleList(nn.Conv2d(6, 6, 1) for _ in range(cuts))
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for cut, layer in zip(self.cuts, self.rest, strict=True):
            x = torch.relu(layer(cut(x)))
        return self.last(x.mean((2, 3)))


def gated(seed=0, samples=64, **settings):
    """A network whose gates let about half of the samples through, and these: (net, float [N, 1, 6, 6])."""
    torch.manual_seed(seed)
    net, x = Gated(**settings), torch.rand(samples, 1, 6, 6)
    net(x)
    net.eval()
    for cut in net.cuts:
        with torch.no_grad():
            net(x)
            cut.gate_bias -= cut.logits.median() + 1e-3
            net(x)
    return net, x


class Compared(nn.Module):
    """A linear layer, and for each comparison of what it makes, the values for which it holds."""

    def __init__(self, *conditions, outputs=3, seed=0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer, self.conditions = nn.Linear(5, outputs), conditions

    def forward(self, x):
        z = self.layer(x)
        return [torch.where(condition(z), z, torch.zeros_like(z)) for condition in self.conditions]


def rows(samples=64, seed=1):
    """Float [N, 5]."""
    return np.random.default_rng(seed).normal(0, 1, (samples, 5)).astype(np.float32)


def integer_model(net, x, **options) -> ir.Model:
    """The integer graph of a network for samples [N, ...], one at a time."""
    settings = CompileOptions(calib={"": np.asarray(x)}, **options)
    return compiler.integer_model(net, (torch.from_numpy(np.asarray(x)[:1]),), settings)[0]
