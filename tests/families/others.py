# mypy: disable-error-code="misc"
"""Gates of other shapes: channels gated by pools and short convolutions, stars, time shifts, products of inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ECA(nn.Module):
    """ECA: a short convolution along the pooled channels makes the gate (1910.03151)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        pooled = F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)
        return x * torch.sigmoid(self.layer(pooled).transpose(-1, -2).unsqueeze(-1))


class GlobalContext(nn.Module):
    """GC-block: places pooled by attention, brought back as an addend and as a gate (1904.11492)."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.keys = nn.Conv2d(channels, 1, 1)
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        weights = torch.softmax(self.keys(x).reshape(n, 1, h * w), -1)
        context = (x.reshape(n, c, h * w) @ weights.transpose(1, 2)).unsqueeze(-1)
        return x * torch.sigmoid(self.up(F.relu(self.down(context))))


class Star(nn.Module):
    """StarNet's block: the plain product of two branches, one of them through ReLU6 (2403.19967)."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, channels, 3, padding=1)
        self.first, self.last = (nn.Conv2d(channels, channels, 7, padding=3, groups=channels) for _ in range(2))
        self.norm = nn.BatchNorm2d(channels)
        self.left, self.right = (nn.Conv2d(channels, 2 * channels, 1) for _ in range(2))
        self.down = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x):
        x = self.inlet(x)
        y = self.norm(self.first(x))
        return x + self.last(self.down(F.relu6(self.left(y)) * self.right(y)))


class MambaOut(nn.Module):
    """The gated CNN block: some channels of the value are convolved, the rest pass (2405.07992)."""

    def __init__(self, channels: int = 8, inner: int = 12, mixed: int = 6) -> None:
        super().__init__()
        self.sizes = (inner, inner - mixed, mixed)
        self.inlet, self.norm = nn.Conv2d(3, channels, 3, padding=1), nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 2 * inner), nn.Linear(inner, channels)
        self.depthwise = nn.Conv2d(mixed, mixed, 5, padding=2, groups=mixed)

    def forward(self, x):
        x = self.inlet(x).permute(0, 2, 3, 1)
        gate, kept, mixed = self.up(self.norm(x)).split(self.sizes, -1)
        mixed = self.depthwise(mixed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (x + self.down(F.gelu(gate) * torch.cat([kept, mixed], -1))).permute(0, 3, 1, 2)


class TemporalShift(nn.Module):
    """LGTSM: groups of channels take a learned mixture of three frames, then a gated convolution (1907.01131)."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, channels, 3, padding=1)
        self.shift = nn.ModuleList(nn.Conv1d(1, 1, 3, padding=1, bias=False) for _ in range(2))
        self.gated, self.out = nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.Conv2d(channels, 3, 3, padding=1)

    def shifted(self, x, layer):
        frames, channels, height, width = x.shape
        lines = x.permute(1, 2, 3, 0).reshape(-1, 1, frames)
        return layer(lines).reshape(channels, height, width, frames).permute(3, 0, 1, 2)

    def forward(self, x):
        x = self.inlet(x)
        first, second, rest = x.split((2, 2, 4), 1)
        x = torch.cat([self.shifted(first, self.shift[0]), self.shifted(second, self.shift[1]), rest], 1)
        value, gate = self.gated(x).chunk(2, 1)
        return self.out(F.leaky_relu(value, 0.2) * torch.sigmoid(gate))


class GateSkip(nn.Module):
    """GateSkip, soft (2510.13876): what a branch adds is gated by what it reads."""

    def __init__(self, width: int = 12, inner: int = 24) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(width, inner) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(inner, width) for _ in range(2))
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, x):
        for up, down, gate in zip(self.up, self.down, self.gate, strict=True):
            x = x + torch.sigmoid(gate(x)) * down(F.silu(up(x)))
        return x


class NALU(nn.Module):
    """Neural arithmetic logic unit (1808.00508): sums, or products by logarithms, as a gate says."""

    def __init__(self, inputs: int = 10, outputs: int = 6) -> None:
        super().__init__()
        self.inlet = nn.Linear(inputs, inputs)
        self.hat, self.mask = (nn.Parameter(0.6 * torch.randn(outputs, inputs)) for _ in range(2))
        self.gate = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x):
        x = self.inlet(x)
        weight = torch.tanh(self.hat) * torch.sigmoid(self.mask)
        gate, sums = torch.sigmoid(self.gate(x)), F.linear(x, weight)
        products = torch.exp(F.linear(torch.log(torch.abs(x) + 0.1), weight))
        return gate * sums + (1 - gate) * products


class GatedPerceptron(nn.Module):
    """Gated perceptrons (2409.13854): a weighted sum of the inputs and of the product of all of them."""

    def __init__(self, inputs: int = 4, outputs: int = 8) -> None:
        super().__init__()
        self.inlet, self.first = nn.Linear(10, inputs), nn.Linear(inputs + 1, outputs)
        self.last = nn.Linear(outputs, 4)

    def forward(self, x):
        x = self.inlet(x)
        a, b, c, d = x.unbind(-1)
        return self.last(torch.tanh(self.first(torch.cat([x, (a * b * c * d).unsqueeze(-1)], -1))))


class Inverted(nn.Module):
    """Universal inverted bottlenecks of MobileNetV4: depthwise layers before, between and after (2404.10518)."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.blocks = nn.ModuleList(self._block(channels, 3 * channels) for _ in range(2))

    @staticmethod
    def _block(channels: int, wide: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False), nn.BatchNorm2d(channels),
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return x


class NormedInverted(nn.Module):
    """An inverted bottleneck of MobileNetV5: RMS norms over the channels of a map, and GELU by tanh."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, channels, 3, padding=1), nn.RMSNorm(channels, eps=1e-6)
        self.up, self.depthwise = nn.Conv2d(channels, 24, 1), nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.inner, self.down = nn.RMSNorm(24, eps=1e-6), nn.Conv2d(24, channels, 1)

    @staticmethod
    def over_channels(norm, x):
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, x):
        x = self.stem(x)
        y = F.gelu(self.depthwise(self.up(self.over_channels(self.norm, x))), approximate="tanh")
        return x + self.down(self.over_channels(self.inner, y))


class GatedNorm(nn.Module):
    """The gated RMS norm behind linear attention (Qwen3-Next): ``norm(value) * silu(gate)``, head by head."""

    def __init__(self, width: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.RMSNorm(width // heads, eps=1e-6)
        self.value, self.gate, self.out = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x):
        value, gate = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.value, self.gate))
        return x + self.out((self.norm(value) * F.silu(gate)).flatten(-2))
