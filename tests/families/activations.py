# mypy: disable-error-code="misc"
"""Activations of recent papers, in open code, as their authors write them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def golu(x):
    """Gompertz linear unit (NeurIPS 2025): the gate is Gompertz' curve."""
    return x * torch.exp(-torch.exp(-x))


class Expanded(nn.Module):
    """xATLU, xSiLU, xGELU: a gate whose range is widened from (0, 1) to (-a, 1 + a) by one trained number a."""

    def __init__(self, gate, reach: float = 0.2) -> None:
        super().__init__()
        self.gate, self.reach = gate, nn.Parameter(torch.tensor(reach))

    def forward(self, x):
        return x * (self.gate(x) * (1 + 2 * self.reach) - self.reach)


def arctangent(x):
    """The gate of ATLU."""
    return (torch.arctan(x) + math.pi / 2) / math.pi


def normal(x):
    """The gate of GELU."""
    return (1 + torch.erf(x / math.sqrt(2))) / 2


class Hysteresis(torch.autograd.Function):
    """HeLU: a ReLU whose gradient is that of a shifted step."""

    @staticmethod
    def forward(ctx, x, offset):
        ctx.save_for_backward(x)
        ctx.offset = offset
        return F.relu(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x > -ctx.offset), None


def helu(x):
    return Hysteresis.apply(x, 0.05)


class MittagLeffler(nn.Module):
    """x / (1 + E(-x)), E the Mittag-Leffler function of two trained orders: SiLU where both are 1 (2302.11007).

    E is its power series near zero, and its asymptotic one far on the left, where it falls like 1 / x.
    """

    def __init__(self, alpha: float = 0.8, beta: float = 1.0, terms: int = 30) -> None:
        super().__init__()
        self.series = [1 / math.gamma(alpha * k + beta) for k in range(terms)]
        self.tail = [0.0 if beta - alpha * k in (0, -1, -2) else 1 / math.gamma(beta - alpha * k) for k in (1, 2, 3)]

    def forward(self, x):
        near = torch.clamp(-x, -4.0, 4.0)
        inner = torch.full_like(near, self.series[-1])
        for factor in self.series[-2::-1]:
            inner = inner * near + factor
        far = 1 / torch.clamp(x, min=4.0)
        outer = self.tail[0] * far - self.tail[1] * far**2 + self.tail[2] * far**3
        return x / (1 + torch.where(x > 4.0, outer, inner))


class Channelwise(nn.Module):
    """A self-gate of trained numbers for each channel: Swish with its own slope, and a range of its own."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.slope, self.reach = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))
        with torch.no_grad():
            self.slope.uniform_(0.4, 2.5)
            self.reach.uniform_(-0.1, 0.4)

    def forward(self, x):
        return x * (torch.sigmoid(self.slope * x) * (1 + 2 * self.reach) - self.reach)
