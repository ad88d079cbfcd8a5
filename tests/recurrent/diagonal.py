# mypy: disable-error-code="misc"
"""Diagonal recurrences: a factor for each element of the state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class MinGRU(nn.Module):
    """h = (1 - z) h + z W x. Feng et al., "Were RNNs All We Needed?", 2024."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.gate, self.value, self.out = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x, h):
        z = torch.sigmoid(self.gate(x))
        h = (1 - z) * h + z * self.value(x)
        return self.out(h), h


class MinLSTM(nn.Module):
    """h = f' h + i' W x with f' + i' = 1."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.forget, self.inlet, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, h):
        f, i = torch.sigmoid(self.forget(x)), torch.sigmoid(self.inlet(x))
        h = f / (f + i) * h + i / (f + i) * self.value(x)
        return self.out(h), h


class HGRN(nn.Module):
    """h = f h + (1 - f) silu(i), f above a lower bound; the output is gated. Qin et al., 2023."""

    def __init__(self, width: int = 32, bound: float = 0.7) -> None:
        super().__init__()
        self.inlet, self.forget, self.gate, self.out = (nn.Linear(width, width) for _ in range(4))
        self.bound = bound

    def forward(self, x, h):
        f = self.bound + (1 - self.bound) * torch.sigmoid(self.forget(x))
        h = f * h + (1 - f) * F.silu(self.inlet(x))
        return self.out(h * F.silu(self.gate(x))), h


class QRNN(nn.Module):
    """fo-pooling: c = f c + (1 - f) z, h = o c. Bradbury et al., 2016, equation 4."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.all = nn.Linear(width, 3 * width)

    def forward(self, x, c):
        z, f, o = self.all(x).chunk(3, -1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(z)
        return torch.sigmoid(o) * c, c


class RGLRU(nn.Module):
    """h = a h + sqrt(1 - a**2) (i x), a = exp(-8 softplus(l) r). De et al., "Griffin", 2024, equations 1 to 4."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.recurrence, self.inlet, self.out = (nn.Linear(width, width) for _ in range(3))
        self.rate = nn.Parameter(torch.linspace(-4.5, -2, width))

    def forward(self, x, h):
        a = torch.exp(-8 * F.softplus(self.rate) * torch.sigmoid(self.recurrence(x)))
        h = a * h + torch.sqrt(1 - a**2) * (torch.sigmoid(self.inlet(x)) * x)
        return self.out(h), h


class GateLoop(nn.Module):
    """h = a h + k v with a complex a of gated magnitude and phase. Katsch, 2023, equation 2. State [N, D, 2]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.magnitude, self.phase, self.key, self.value, self.query = (nn.Linear(width, width) for _ in range(5))

    def forward(self, x, h):
        size, angle = torch.sigmoid(self.magnitude(x)), self.phase(x)
        real, imaginary = size * torch.cos(angle), size * torch.sin(angle)
        a, b = h[..., 0], h[..., 1]
        a, b = real * a - imaginary * b + self.key(x) * self.value(x), imaginary * a + real * b
        return self.query(x) * a, torch.stack([a, b], -1)


class BlockRecurrent(nn.Module):
    """State vectors updated once for a block of tokens, by a learned constant gate. Hutchins et al., 2022."""

    def __init__(self, width: int = 32, slots: int = 8) -> None:
        super().__init__()
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.mix = nn.Parameter(torch.randn(slots, slots) / slots**0.5)
        self.gate = nn.Parameter(torch.randn(width) + 1)

    def forward(self, x, c):
        z = torch.tanh(self.value(torch.matmul(self.mix, x)) + self.out(c))
        g = torch.sigmoid(self.gate)
        c = g * c + (1 - g) * z
        return x + self.out(c), c
