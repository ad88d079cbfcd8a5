"""Networks that the benchmarks time: sizes that are used in practice, weights at random, norms that have seen data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.train import trained


class GatedConv(nn.Module):
    """elu(conv(x)) * sigmoid(conv(x)), as in DeepFill v2 (Yu et al. 2019, equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.feature = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(self.feature(x)) * torch.sigmoid(self.gate(x))


class SqueezeExcite(nn.Module):
    """x * sigmoid(up(silu(down(mean(x))))) (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(functional.silu(self.down(x.mean((2, 3), keepdim=True)))))


class MobileBlock(nn.Module):
    """An inverted bottleneck with squeeze and excitation (Tan and Le 2019)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * 4
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.SiLU(),
            SqueezeExcite(hidden), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + y if self.residual else y


STAGES = ((16, 1, 1), (24, 2, 2), (40, 2, 2), (80, 2, 3), (112, 1, 3), (192, 2, 4), (320, 1, 1))
"""Channels, stride and count of the stages of EfficientNet-B0, with 3x3 windows throughout."""


def se_mobile() -> nn.Module:
    """An SE mobile network in the shape of EfficientNet-B0: [1, 3, 224, 224] -> [1, 1000]."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.SiLU()]
    inputs = 32
    for outputs, stride, count in STAGES:
        for i in range(count):
            layers.append(MobileBlock(inputs, outputs, stride if i == 0 else 1))
            inputs = outputs
    layers += [nn.Conv2d(320, 1280, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


def gated_convs() -> nn.Module:
    """Six gated convolutions with 64 channels: [1, 64, 128, 128] -> the same."""
    return nn.Sequential(*(GatedConv(64) for _ in range(6)))


class SwiGlu(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020): [rows, 2048] -> the same, 5632 hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(2048, 5632, bias=False), nn.Linear(2048, 5632, bias=False)
        self.down = nn.Linear(5632, 2048, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


def example(name: str) -> Callable[[], nn.Module]:
    """A trained network of ``examples``."""
    return lambda: trained(name)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "SE mobile net, 224x224": (se_mobile, (1, 3, 224, 224)),
    "6 gated convolutions, 64 channels, 128x128": (gated_convs, (1, 64, 128, 128)),
    "SwiGLU 2048-5632, 1 token": (SwiGlu, (1, 2048)),
    "SwiGLU 2048-5632, 16 tokens": (SwiGlu, (16, 2048)),
    "digits, gated convolutions, 8x8": (example("gated_conv"), (1, 1, 8, 8)),
    "digits, GLU classifier, 8x8": (example("glu_classifier"), (1, 1, 8, 8)),
}
"""Name to factory and shape of the input."""


def made(name: str) -> tuple[nn.Module, Tensor]:
    """The network, ready to run, and inputs [16, ...] of its kind; the same every time."""
    factory, dims = NETS[name]
    torch.manual_seed(0)
    net, data = factory(), torch.randn(max(8, dims[0]), *dims[1:])
    net.train()
    with torch.no_grad():
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = None  # plain means over what is seen
        net(data)
    return net.eval(), data
