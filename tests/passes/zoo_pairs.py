# mypy: disable-error-code="misc"
"""Two values of one input, multiplied: one of them is the gate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class FunctionalGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 12)

    def forward(self, x):
        return F.glu(self.project(x))


class ChunkGLU(nn.Module):
    """One projection, two halves; the gate's activation is an argument."""

    def __init__(self, activation, bias: bool = True) -> None:
        super().__init__()
        self.up, self.down, self.activation = nn.Linear(8, 12, bias=bias), nn.Linear(6, 8, bias=bias), activation

    def forward(self, x):
        value, gate = self.up(x).chunk(2, -1)
        return self.down(value * self.activation(gate))


class TwoGLU(nn.Module):
    """Two projections."""

    def __init__(self, activation) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(8, 12, bias=False), nn.Linear(8, 12, bias=False)
        self.down, self.activation = nn.Linear(12, 8, bias=False), activation

    def forward(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class GatedConv(nn.Module):
    """DeepFill v2 with two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.feature, self.mask = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x):
        return F.elu(self.feature(x)) * torch.sigmoid(self.mask(x))


class ChunkConv(nn.Module):
    """DeepFill v2 with one convolution, strided."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 12, 4, stride=2, padding=1)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, 1)
        return F.elu(value) * torch.sigmoid(gate)


class WaveNetBlock(nn.Module):
    """Causal dilated convolutions: one pads both sides and cuts, the other pads before."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv1d(4, 4, 3, dilation=2, padding=4)
        self.gate = nn.Conv1d(4, 4, 3, dilation=2)
        self.out = nn.Conv1d(4, 4, 1)

    def forward(self, x):
        value = self.filter(x)[..., : x.shape[-1]]
        gate = self.gate(F.pad(x, (4, 0)))
        return x + self.out(torch.tanh(value) * torch.sigmoid(gate))


class ConvBranch(nn.Module):
    """norm, linear, SiLU, and a depthwise convolution over time with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(8), nn.Linear(8, 8)
        self.depthwise = nn.Conv1d(8, 8, 3, padding=1, groups=8)

    def forward(self, x):
        x = F.silu(self.linear(self.norm(x)))
        return x + self.depthwise(x.transpose(1, 2)).transpose(1, 2)


class GCU(nn.Module):
    """Gated convolutional unit of MossFormer2."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate, self.out = ConvBranch(), ConvBranch(), nn.Linear(8, 8)

    def forward(self, x):
        return x + self.out(self.value(x) * self.gate(x))


class Highway(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transform, self.gate = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.tanh(self.transform(x)) + (1 - t) * x


class SpatialGating(nn.Module):
    """gMLP: half the channels, projected along the tokens, gate the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.mix, self.down = nn.Linear(8, 12), nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 8)

    def forward(self, x):
        value, gate = F.gelu(self.up(x)).chunk(2, -1)
        gate = self.mix(self.norm(gate).transpose(1, 2)).transpose(1, 2)
        return x + self.down(value * gate)
