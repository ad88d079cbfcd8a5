# mypy: disable-error-code="misc"
"""Small gated networks with fixed weights, one per pattern that the frontend has to carry over."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class SqueezeExcite(nn.Module):
    """conv, norm, GELU, then a gate per channel from the global mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.down, self.up = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

    def forward(self, x):
        y = F.gelu(self.norm(self.conv(x)))
        return y * torch.sigmoid(self.up(F.silu(self.down(y.mean((2, 3), keepdim=True)))))


class GatedLinear(nn.Module):
    """chunk makes value and gate."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 8)

    def forward(self, x):
        value, gate = self.project(x).chunk(2, -1)
        return value * torch.sigmoid(gate)


class SwiGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(6, 10, bias=False), nn.Linear(6, 10, bias=False)
        self.down = nn.Linear(10, 6, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GatedConv(nn.Module):
    """elu(conv) * sigmoid(conv)."""

    def __init__(self) -> None:
        super().__init__()
        self.feature = nn.Conv2d(3, 4, 3, padding=1)
        self.mask = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return F.elu(self.feature(x)) * torch.sigmoid(self.mask(x))


class Mobile(nn.Module):
    """An inverted bottleneck inside nn.Sequential, with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 8, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.SiLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 4, 1, bias=False),
        )

    def forward(self, x):
        return x + self.body(x)


class Reshaped(nn.Module):
    """Shapes computed from the input's: they must all become constants."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.arange(12.0), persistent=False)

    def forward(self, x):
        n, c, h, w = x.shape
        y = x.reshape(n * c // 2, 2, h * w).reshape(n, c // 2, 2, h * w).transpose(1, 2).reshape(n, -1, h, w)
        return F.interpolate(y, scale_factor=2.0) * self.scale[:4].reshape(1, 4, 1, 1)


class Attention(nn.Module):
    """Causal, with a mask of -inf, a norm by groups, and a gate on the result."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)
        self.qkv, self.gate = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        normed = self.norm(x.transpose(1, 2)).transpose(1, 2)
        q, k, v = torch.split(self.qkv(normed), [8, 8, 8], -1)
        mask = torch.triu(torch.full((x.shape[1], x.shape[1]), float("-inf")), 1)
        with torch.no_grad():
            scores = torch.einsum("btc,bsc->bts", q, k) + mask
        return x + torch.softmax(scores, -1) @ v * torch.sigmoid(self.gate(x))


EXAMPLES: dict[type[nn.Module], tuple[int, ...]] = {
    SqueezeExcite: (2, 3, 6, 6),
    GatedLinear: (2, 5, 6),
    SwiGLU: (2, 6),
    GatedConv: (2, 3, 5, 5),
    Mobile: (2, 4, 5, 5),
    Reshaped: (2, 4, 3, 3),
    Attention: (2, 5, 8),
}


def make(kind: type[nn.Module]) -> tuple[Any, torch.Tensor]:
    """The network with seeded weights and norms that are not the identity, and an example input."""
    torch.manual_seed(0)
    net = kind()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return net, torch.randn(EXAMPLES[kind])


def glu() -> nn.Module:
    """A factory for --model."""
    return GatedLinear()


def no_module() -> int:
    """A factory that returns something else."""
    return 3
