# mypy: disable-error-code="misc"
"""Paired projections: a value and a gate made of one input, in linear layers and in convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class FeedForward(nn.Module):
    """Transformer blocks' gated half, twice, each with its residual: ``down(value * act(gate))``."""

    def __init__(self, activation, packed: bool, width: int = 12, inner: int = 16) -> None:
        super().__init__()
        self.activation, self.packed = activation, packed
        wide = 2 * inner if packed else inner
        self.up = nn.ModuleList(nn.Linear(width, wide) for _ in range(2))
        self.gate = nn.ModuleList(nn.Linear(width, inner) for _ in range(0 if packed else 2))
        self.down = nn.ModuleList(nn.Linear(inner, width) for _ in range(2))

    def forward(self, x):
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            value, gate = up(x).chunk(2, -1) if self.packed else (up(x), self.gate[i](x))
            x = x + down(value * self.activation(gate))
        return x


class GLU(nn.Module):
    """Gated linear units as torch has them, over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(10, 24), nn.Linear(12, 16), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(F.glu(self.second(F.glu(self.first(x))), dim=-1).mean(1))


class DeepFill(nn.Module):
    """Gated convolutions of an inpainting net: one convolution and a chunk, or two; stride, dilation, resize."""

    def __init__(self, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        plan = [(4, 8, 5, 1, 2, 1), (8, 12, 3, 2, 1, 1), (12, 12, 3, 1, 2, 2), (12, 8, 3, 1, 1, 1)]
        times = 2 if packed else 1
        self.value = nn.ModuleList(
            nn.Conv2d(i, o * times, k, stride=s, padding=p, dilation=d) for i, o, k, s, p, d in plan
        )
        self.gate = nn.ModuleList(
            nn.Conv2d(i, o, k, stride=s, padding=p, dilation=d) for i, o, k, s, p, d in ([] if packed else plan)
        )
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def gated(self, x, i: int):
        value, gate = self.value[i](x).chunk(2, 1) if self.packed else (self.value[i](x), self.gate[i](x))
        return F.elu(value) * torch.sigmoid(gate)

    def forward(self, x):
        for i in range(3):
            x = self.gated(x, i)
        return torch.clamp(self.out(self.gated(F.interpolate(x, scale_factor=2.0), 3)), -1, 1)


class WaveNet(nn.Module):
    """Causal dilated blocks: tanh times sigmoid, a residual, and a sum of skips."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(2, 8, 1)
        self.filter, self.gate = (self._dilated() for _ in range(2))
        self.residual, self.skip = (nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(3)) for _ in range(2))
        self.head = nn.Conv1d(8, 4, 1)

    @staticmethod
    def _dilated() -> nn.ModuleList:
        return nn.ModuleList(nn.Conv1d(8, 8, 2, dilation=2**i) for i in range(3))

    def forward(self, x):
        x, skips = self.inlet(x), []
        for i, (value, gate) in enumerate(zip(self.filter, self.gate, strict=True)):
            past = F.pad(x, (2**i, 0))
            y = torch.tanh(value(past)) * torch.sigmoid(gate(past))
            skips.append(self.skip[i](y))
            x = x + self.residual[i](y)
        return self.head(F.relu(skips[0] + skips[1] + skips[2]))


class GCU(nn.Module):
    """Gated convolutional unit of MossFormer2, with the batch norms of a streaming net: value * gate + x."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate = (self._branch() for _ in range(2))
        self.out = nn.Conv1d(8, 8, 1)

    @staticmethod
    def _branch() -> nn.Sequential:
        depthwise = nn.Conv1d(8, 8, 5, padding=2, groups=8)
        return nn.Sequential(nn.BatchNorm1d(8), nn.Conv1d(8, 8, 1), nn.SiLU(), depthwise)

    def forward(self, x):
        return x + self.out(self.value(x) * self.gate(x))


class ConvGLU(nn.Module):
    """TransNeXt's feed-forward: the gate passes a depthwise convolution and GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, 8, 3, padding=1)
        self.up, self.depthwise = nn.Conv2d(8, 24, 1), nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.down = nn.Conv2d(12, 8, 1)

    def forward(self, x):
        x = self.inlet(x)
        gate, value = self.up(x).chunk(2, 1)
        return x + self.down(F.gelu(self.depthwise(gate)) * value)


class Highway(nn.Module):
    """Two convex sums of what a layer makes and what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.transform, self.gate = (nn.ModuleList(nn.Linear(10, 10) for _ in range(2)) for _ in range(2))

    def forward(self, x):
        for transform, gate in zip(self.transform, self.gate, strict=True):
            t = torch.sigmoid(gate(x))
            x = t * torch.tanh(transform(x)) + (1 - t) * x
        return x


class Ratio(nn.Module):
    """A value divided by what another projection makes, kept away from zero."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.scale, self.down = nn.Linear(10, 12), nn.Linear(10, 12), nn.Linear(12, 6)

    def forward(self, x):
        return self.down(self.value(x) / (1 + F.softplus(self.scale(x))))
