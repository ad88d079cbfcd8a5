# mypy: disable-error-code="misc"
"""What stands around the gates: residual nets, pools, resizes, groups, moves, and layers that enlarge."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """Two blocks of convolution, batch norm and ReLU around a residual, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.second = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = F.relu(x + self.norms[2 * i + 1](second(F.relu(self.norms[2 * i](first(x))))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2, 1), 1), 1))


class Pools(nn.Module):
    """Averages with and without the padding in the count, a grouped convolution, both linear resizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.out = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.first(x)), 3, stride=2, padding=1, count_include_pad=False)
        x = F.avg_pool2d(self.grouped(x), 3, stride=1, padding=1)
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return F.interpolate(self.out(x), size=(10, 10), mode="bilinear", align_corners=True)


class Enlarging(nn.Module):
    """Transposed convolutions: kernels that overlap, do not divide by the stride, have groups, or pads to add."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, output_padding=1, groups=3), nn.ReLU(),
            nn.ConvTranspose2d(6, 4, 3, stride=(1, 2), bias=False),
        )  # fmt: skip
        self.line = nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1)

    def forward(self, x):
        return self.line(self.layers(x)[:, :, 3])


class Moves(nn.Module):
    """Slices, pads of each kind, shuffles, and layers over channels last; norms that no layer takes up."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.linear, self.gamma = nn.Linear(8, 8), nn.Parameter(torch.rand(8) + 0.5)
        self.out = nn.Conv2d(2, 4, 3)

    def forward(self, x):
        x = F.relu(self.first(F.pad(x, (1, 2, 1, 0), mode="reflect")))
        x = self.norm(F.pad(x[:, :, 1:, ::2], (1, 1, 0, 1), mode="replicate"))
        y = torch.roll(x, 1, 3).permute(0, 2, 3, 1)
        y = (self.linear(y) + y) * self.gamma
        y = F.pad(y.permute(0, 3, 1, 2), (0, 1, 1, 0), value=0.25)
        return self.out(F.pixel_shuffle(y, 2)).squeeze(0).unsqueeze(0)


class Line(nn.Module):
    """One axis: batch norms before and after nothing, pools, a resize."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.first, self.second = nn.BatchNorm1d(4), nn.Conv1d(4, 8, 3, padding=1), nn.Conv1d(8, 6, 3)
        self.last = nn.BatchNorm1d(8)

    def forward(self, x):
        x = F.silu(self.first(self.norm(x)))
        x = self.last(x + F.max_pool1d(x, 3, 1, 1))
        return self.second(F.interpolate(F.avg_pool1d(x, 2), scale_factor=2.0))
