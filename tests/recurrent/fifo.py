# mypy: disable-error-code="misc"
"""Causal convolutions, a step at a time: the state holds what came in before."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ShortConv(nn.Module):
    """LFM2's double-gated short convolution: both gates are linear. State [N, D, 2]."""

    def __init__(self, width: int = 32, taps: int = 3) -> None:
        super().__init__()
        self.inlet, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.taps = nn.Parameter(torch.randn(width, taps) / taps**0.5)

    def forward(self, x, past):
        before, after, value = self.inlet(x).chunk(3, -1)
        window = torch.cat([past, (before * value).unsqueeze(-1)], -1)
        return self.out(after * (window * self.taps).sum(-1)), window[..., 1:]


class WaveNet(nn.Module):
    """Two taps, four steps apart: tanh times sigmoid, and a residual. State [N, C, 4]."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.value, self.gate = (nn.Conv1d(width, width, 2, dilation=4) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, x, past):
        window = torch.cat([past, x.unsqueeze(-1)], -1)
        y = torch.tanh(self.value(window)) * torch.sigmoid(self.gate(window))
        return x + self.out(y.squeeze(-1)), window[..., 1:]


class FSMN(nn.Module):
    """MossFormer2's gated memory: depthwise over the last 20 steps, in each of two branches. States [N, C, 19]."""

    def __init__(self, width: int = 16, order: int = 20) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.memory = nn.ModuleList(nn.Conv1d(width, width, order, groups=width, bias=False) for _ in range(2))

    def forward(self, x, past_u, past_v):
        made, states = [], []
        for up, memory, past in zip(self.up, self.memory, (past_u, past_v), strict=True):
            h = F.silu(up(x))
            window = torch.cat([past, h.unsqueeze(-1)], -1)
            made.append(h + memory(window).squeeze(-1))
            states.append(window[..., 1:])
        return made[0] * made[1] + x, states[0], states[1]


class GatedTSM(nn.Module):
    """A quarter of the channels comes from the frame before; then a gated convolution. State [N, C / 4, H, W]."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, width, 3, padding=1)
        self.conv = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fold = width // 4

    def forward(self, x, past):
        h = self.inlet(x)
        value, gate = self.conv(torch.cat([past, h[:, self.fold :]], 1)).chunk(2, 1)
        return F.leaky_relu(value, 0.2) * torch.sigmoid(gate), h[:, : self.fold]


class LGTSM(nn.Module):
    """Half of the channels pass three taps over time, one kernel for each group. State [N, 2, C / 2, H, W]."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, width, 3, padding=1)
        self.conv = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.taps = nn.Parameter(torch.tensor([[0.2, 0.1, 0.7], [0.6, 0.1, 0.3]]))
        self.half = width // 2

    def forward(self, x, past):
        h = self.inlet(x)
        moved, kept = h[:, : self.half], h[:, self.half :]
        taps = self.taps.repeat_interleave(self.half // 2, 0)[None, :, :, None, None]
        shifted = past[:, 0] * taps[:, :, 0] + past[:, 1] * taps[:, :, 1] + moved * taps[:, :, 2]
        value, gate = self.conv(torch.cat([shifted, kept], 1)).chunk(2, 1)
        return F.leaky_relu(value, 0.2) * torch.sigmoid(gate), torch.stack([past[:, 1], moved], 1)
