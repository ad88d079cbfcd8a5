# mypy: disable-error-code="misc"
"""Chains of scalar functions: each activation between two convolutions, as networks have them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Chain(nn.Module):
    """Convolutions in a row, a function after each."""

    def __init__(self, *functions) -> None:
        super().__init__()
        self.functions = functions
        self.trained = nn.ModuleList(f for f in functions if isinstance(f, nn.Module))
        self.layers = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(len(functions)))
        self.head = nn.Conv2d(8, 4, 3)

    def forward(self, x):
        for layer, function in zip(self.layers, self.functions, strict=True):
            x = function(layer(x))
        return self.head(x)


def written_swish(x):
    return x / (1 + torch.exp(-x))


def written_softsign(x):
    return x / (1 + torch.abs(x))


class Slopes(nn.Module):
    """PReLU with one slope and with one per channel, LeakyReLU and CELU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(c, 6, 3, padding=1) for c in (3, 6, 6))
        self.one, self.each = nn.PReLU(), nn.PReLU(6)
        with torch.no_grad():
            self.each.weight.copy_(torch.tensor([0.1, -0.3, 0.9, 1.5, 0.0, 0.25]))

    def forward(self, x):
        x = self.each(self.second(self.one(self.first(x))))
        return F.celu(self.third(F.leaky_relu(x, 0.2)), 0.7)
