# mypy: disable-error-code="misc"
"""Attention by gates: over channels, over places, over both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Squeeze(nn.Module):
    """Squeeze-and-excite."""

    def __init__(self, channels: int, hidden: int, gate=torch.sigmoid) -> None:
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1), gate

    def forward(self, x):
        return x * self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Between(nn.Module):
    """A convolution before and one after the attention, so that its result is used."""

    def __init__(self, *attention: nn.Module) -> None:
        super().__init__()
        self.before, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.attention, self.after = nn.Sequential(*attention), nn.Conv2d(8, 6, 3, stride=2, padding=1)

    def forward(self, x):
        return self.after(self.attention(F.relu(self.norm(self.before(x)))))


class Effective(nn.Module):
    """eSE of VoVNetV2: one layer and a hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.layer(x.mean((2, 3), keepdim=True)))


class Concurrent(nn.Module):
    """scSE: the greater of channel and space attention."""

    def __init__(self) -> None:
        super().__init__()
        self.channel, self.space = Squeeze(8, 4), nn.Conv2d(8, 1, 1, bias=False)

    def forward(self, x):
        return torch.maximum(self.channel(x), x * torch.sigmoid(self.space(x)))


class CBAM(nn.Module):
    """Channels by mean and maximum through one network, then places by a 7x7 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1))
        self.space = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        mean, most = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
        x = x * torch.sigmoid(self.network(mean) + self.network(most))
        both = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.space(both))


class AttentionUNet(nn.Module):
    """One level of the U-Net: the coarse map gates the skip, additively, and is enlarged."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.theta, self.phi = nn.Conv2d(8, 6, 2, stride=2, bias=False), nn.Conv2d(12, 6, 1)
        self.psi, self.up = nn.Conv2d(6, 1, 1), nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.out = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x):
        fine = F.relu(self.fine(x))
        coarse = F.relu(self.coarse(F.max_pool2d(fine, 2)))
        small = torch.sigmoid(self.psi(F.relu(self.theta(fine) + self.phi(coarse))))
        gate = F.interpolate(small, scale_factor=2.0, mode="bilinear")
        return self.out(torch.cat([fine * gate, self.up(coarse)], 1))


class MobileNetV3(nn.Module):
    """Two inverted bottlenecks with hard gates: depthwise, squeeze-and-excite, a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList(self._block() for _ in range(2))
        self.head = nn.Linear(8, 5)

    @staticmethod
    def _block() -> nn.Sequential:
        layers = [nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()]
        layers += [nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish()]
        layers += [Squeeze(16, 8, F.hardsigmoid), nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = F.hardswish(self.norm(self.stem(x)))
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean((2, 3)))
