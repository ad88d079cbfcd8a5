# mypy: disable-error-code="misc"
"""An input times what was made of it: attention over channels, over places, over everything."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SqueezeExcite(nn.Module):
    """SE; ``hard`` is MobileNetV3's."""

    def __init__(self, hard: bool = False) -> None:
        super().__init__()
        self.down, self.up, self.hard = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1), hard
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        s = self.up(F.relu(self.down(self.pool(x))))
        return x * (F.hardsigmoid(s) if self.hard else torch.sigmoid(s))


class LinearSE(nn.Module):
    """SE with linear layers on a flattened mean."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False)

    def forward(self, x):
        s = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return x * torch.sigmoid(self.up(F.relu(self.down(s))))[:, :, None, None].expand_as(x)


class EffectiveSE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.conv(x.mean((2, 3), keepdim=True)))


class ECA(nn.Module):
    """A 1-D convolution over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        s = self.conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)
        return x * torch.sigmoid(s)


class ConcurrentSE(nn.Module):
    """scSE: channels and space, the larger wins."""

    def __init__(self) -> None:
        super().__init__()
        self.channel, self.space = SqueezeExcite(), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return torch.maximum(self.channel(x), x * torch.sigmoid(self.space(x)))


class CBAM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1))
        self.space = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        x = x * torch.sigmoid(self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True)))
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.space(both))


class AttentionGate(nn.Module):
    """Attention U-Net: the gate is made at half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.theta, self.phi = nn.Conv2d(4, 3, 2, stride=2, bias=False), nn.Conv2d(4, 3, 1)
        self.psi = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        g = F.avg_pool2d(x, 2)
        gate = torch.sigmoid(self.psi(F.relu(self.theta(x) + self.phi(g))))
        return x * F.interpolate(gate, size=x.shape[2:], mode="bilinear")


class PixelAttention(nn.Module):
    """A value times a gate made from itself: no pair of projections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(x))


class HardGate(nn.Module):
    """Gated Compression: one number decides whether anything goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        return x * (torch.sigmoid(self.score(x)) > 0.5).float()
