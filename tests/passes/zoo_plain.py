# mypy: disable-error-code="misc"
"""Functions of one value, and layers with no gate at all."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class Activation(nn.Module):
    """conv, then a function of one value."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(4, 4, 1), function

    def forward(self, x):
        return self.function(self.conv(x))


class ExpandedSiLU(nn.Module):
    """xSiLU: the gate's range is (-a, 1 + a)."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.alpha = nn.Linear(8, 8), nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        x = self.project(x)
        return x * (torch.sigmoid(x) * (1 + 2 * self.alpha) - self.alpha)


def written_hardswish(x):
    return x * F.relu6(x + 3) / 6


def written_mish(x):
    return x * torch.tanh(F.softplus(x))


def written_gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def written_gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def golu(x):
    return x * torch.exp(-torch.exp(-x))


class Residual(nn.Module):
    """conv, norm, ReLU, conv, norm, plus the input, ReLU: not a gate in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        return F.relu(x + self.norm2(self.second(F.relu(self.norm1(self.first(x))))))


class Norms(nn.Module):
    """Norms with no layer before them, after a layer that something else reads, after a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.second = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.linear, self.third = nn.Linear(4, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        y = self.conv(self.first(x) * self.scale)
        return self.third(self.linear((y + F.relu(self.second(y))).mean((2, 3))))


class LayerScale(nn.Module):
    """ConvNeXt's scale per channel after a linear layer in NHWC, and a scalar factor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gamma = nn.Linear(4, 4), nn.Parameter(torch.rand(4) + 0.5)

    def forward(self, x):
        y = self.gamma * self.linear(x.permute(0, 2, 3, 1)) / 3 + 0.25
        return x + y.permute(0, 3, 1, 2)
