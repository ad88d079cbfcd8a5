# mypy: disable-error-code="misc"
"""Cells whose gates read the state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class GRU(nn.Module):
    """torch's cell: h = (1 - z) n + z h."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.cell, self.out = nn.GRUCell(width, width), nn.Linear(width, width)

    def forward(self, x, h):
        h = self.cell(x, h)
        return self.out(h), h


class LSTM(nn.Module):
    """torch's cell: c = f c + i g, h = o tanh(c)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(width, width), nn.Linear(width, width)

    def forward(self, x, h, c):
        h, c = self.cell(x, (h, c))
        return self.out(h), h, c


class SLSTM(nn.Module):
    """Exponential gates, a normaliser and a running maximum. Beck et al., "xLSTM", 2024, equations 8 to 18."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.inlet, self.back = nn.Linear(width, 4 * width), nn.Linear(width, 4 * width, bias=False)

    def forward(self, x, h, c, n, m):
        z, i, f, o = (self.inlet(x) + self.back(h)).chunk(4, -1)
        f = F.logsigmoid(f + 1)
        top = torch.maximum(f + m, i)
        keep, add = torch.exp(f + m - top), torch.exp(i - top)
        c, n = keep * c + add * torch.tanh(z), keep * n + add
        h = torch.sigmoid(o) * c / n
        return h, h, c, n, top
