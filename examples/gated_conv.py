"""A gated convolution network for 8x8 digits, with the parts that gated networks are made of.

Gated convolution: J. Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019,
equation 3. Squeeze and excitation: J. Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).parent / "weights" / "gated_conv.safetensors"


class TwinGatedConv(nn.Module):
    """elu(norm(value)) * sigmoid(gate), a convolution for each: [N, C, H, W] -> [N, out, H, W]."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.gate = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(self.norm(self.value(x))) * torch.sigmoid(self.gate(x))


class SplitGatedConv(nn.Module):
    """The same from one convolution whose channels are split in two: the form that DeepFill v2 uses."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.both = nn.Conv2d(channels, 2 * out, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * out)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.norm(self.both(x)).chunk(2, dim=1)
        return functional.elu(value) * torch.sigmoid(gate)


class SqueezeExcite(nn.Module):
    """Scales every channel by a gate in [0, 1] that sees the mean of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(functional.silu(self.squeeze(mean))))


class GatedConvNet(nn.Module):
    """[N, 1, 8, 8] in [0, 1] -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = TwinGatedConv(1, 16)
        self.down = SplitGatedConv(16, 24, stride=2)
        self.body = TwinGatedConv(24, 24)
        self.attend = SqueezeExcite(24, 8)
        self.top = SplitGatedConv(24, 40)
        self.head = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(self.stem(x))
        x = x + self.attend(self.body(x))
        return self.head(self.top(x).mean((2, 3)))


def build() -> nn.Module:
    """The network, untrained: the weights are a file of their own (``WEIGHTS``)."""
    return GatedConvNet()
