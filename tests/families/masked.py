# mypy: disable-error-code="misc"
"""Masked pairs: a gate and a value from one matrix, by one mask or by several, and as one layer and a chunk."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgegate.nn import MaskedGLU


class Masked(nn.Module):
    """A transformer's half with a masked gated linear unit, twice, each with its residual."""

    def __init__(self, masks: int, activation=F.silu, width: int = 16, inner: int = 24) -> None:
        super().__init__()
        self.up = nn.ModuleList(MaskedGLU(width, inner, masks=masks, activation=activation) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(inner, width) for _ in range(2))

    def forward(self, x):
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(up(x))
        return x


class Packed(nn.Module):
    """The same as other toolkits write it: one layer makes both, with biases, and a chunk tells them apart."""

    def __init__(self, width: int = 16, inner: int = 24) -> None:
        super().__init__()
        self.inner, self.weight = inner, nn.Parameter(torch.randn(inner, width) / width**0.5)
        self.bias, self.down = nn.Parameter(0.3 * torch.randn(2 * inner)), nn.Linear(inner, width)
        self.register_buffer("mask", torch.rand(inner, width) < 0.5)

    def forward(self, x):
        both = torch.cat([self.weight * self.mask, self.weight * ~self.mask])
        gate, value = F.linear(x, both, self.bias).chunk(2, -1)
        return self.down(F.gelu(gate) * value)
