"""Nets with the sites that block formats meet: norms, gates, attention, convolutions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn
from torch.nn import functional

from edgegate import frontend, stages
from edgegate.passes import FLOAT, run


class Transformer(nn.Module):
    """One block: RMSNorm, attention of two heads, LayerNorm, SwiGLU; some channels are loud."""

    def __init__(self, width: int = 64, hidden: int = 96) -> None:
        super().__init__()
        self.before, self.after = nn.RMSNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(width, hidden), nn.Linear(width, hidden), nn.Linear(hidden, width)
        with torch.no_grad():
            for norm in (self.before, self.after):
                norm.weight.copy_(torch.rand(width) + 0.2)
                norm.weight[5] = 20.0

    def forward(self, x):
        y = self.before(x)
        q, k, v = (layer(y).view(*y.shape[:2], 2, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = x + self.o(mixed)
        y = self.after(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class GatedConvs(nn.Module):
    """Gated convolutions, 3x3 and 1x1, with batch norms; integer from end to end."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.value, self.gate = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, 40, 1, stride=2)
        self.last = nn.Linear(40, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = self.value(x) * torch.sigmoid(self.gate(x))
        return self.last(torch.relu(self.mix(x)).mean(dim=(2, 3)))


class SwiGlu(nn.Module):
    """A gated perceptron whose input channels differ in size by three powers of ten."""

    def __init__(self, width: int = 64, hidden: int = 96) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, hidden), nn.Linear(width, hidden), nn.Linear(hidden, 10)
        self.scale = 10 ** np.linspace(-1.5, 1.5, width).astype(np.float32)
        with torch.no_grad():
            for layer in (self.gate, self.up):
                layer.weight.div_(torch.from_numpy(self.scale))

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Shared(nn.Module):
    """One layer that reads two values, as CBAM's does, and another."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.once = nn.Conv2d(64, 32, 1), nn.Conv2d(32, 10, 1)

    def forward(self, x):
        return self.once(torch.sigmoid(self.twice(x) + self.twice(torch.relu(x))))


def made(kind: type[nn.Module], **sizes: int) -> nn.Module:
    """The net with seeded weights, ready to run."""
    torch.manual_seed(0)
    return kind(**sizes).eval()


def floats(net: nn.Module, *dims: int) -> ir.Model:
    """Its normalised float model, a new one every time."""
    return ir.from_proto(onnx.load_from_string(_exported(net, dims)))


@functools.cache
def _exported(net: nn.Module, dims: tuple[int, ...]) -> bytes:
    model = frontend.load(net, example=(torch.zeros(dims),))
    run(model, FLOAT, stages.floating)
    return ir.to_proto(model).SerializeToString()


def feeds(*dims: int, count: int = 6, scale: Any = 1.0) -> list[dict[str, np.ndarray]]:
    """Inputs called x."""
    rng = np.random.default_rng(1)
    return [{"x": (rng.standard_normal(dims) * scale).astype(np.float32)} for _ in range(count)]
