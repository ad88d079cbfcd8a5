# mypy: disable-error-code="misc"
"""One small torch module per pattern that the float passes must recognise.

``NETS`` says of each which unary and gate nodes its graph has after the passes, and nothing more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

IMAGE, TOKENS, SEQUENCE, ROW = (1, 4, 8, 8), (1, 6, 8), (1, 4, 12), (2, 8)


class Activation(nn.Module):
    """conv, then a function of one value."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(4, 4, 1), function

    def forward(self, x):
        return self.function(self.conv(x))


class ExpandedSiLU(nn.Module):
    """xSiLU: the gate's range is (-a, 1 + a)."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.alpha = nn.Linear(8, 8), nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        x = self.project(x)
        return x * (torch.sigmoid(x) * (1 + 2 * self.alpha) - self.alpha)


class FunctionalGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 12)

    def forward(self, x):
        return F.glu(self.project(x))


class ChunkGLU(nn.Module):
    """One projection, two halves; the gate's activation is an argument."""

    def __init__(self, activation, bias: bool = True) -> None:
        super().__init__()
        self.up, self.down, self.activation = nn.Linear(8, 12, bias=bias), nn.Linear(6, 8, bias=bias), activation

    def forward(self, x):
        value, gate = self.up(x).chunk(2, -1)
        return self.down(value * self.activation(gate))


class TwoGLU(nn.Module):
    """Two projections."""

    def __init__(self, activation) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(8, 12, bias=False), nn.Linear(8, 12, bias=False)
        self.down, self.activation = nn.Linear(12, 8, bias=False), activation

    def forward(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class GatedConv(nn.Module):
    """DeepFill v2 with two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.feature, self.mask = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x):
        return F.elu(self.feature(x)) * torch.sigmoid(self.mask(x))


class ChunkConv(nn.Module):
    """DeepFill v2 with one convolution, strided."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 12, 4, stride=2, padding=1)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, 1)
        return F.elu(value) * torch.sigmoid(gate)


class WaveNetBlock(nn.Module):
    """Causal dilated convolutions: one pads both sides and cuts, the other pads before."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv1d(4, 4, 3, dilation=2, padding=4)
        self.gate = nn.Conv1d(4, 4, 3, dilation=2)
        self.out = nn.Conv1d(4, 4, 1)

    def forward(self, x):
        value = self.filter(x)[..., : x.shape[-1]]
        gate = self.gate(F.pad(x, (4, 0)))
        return x + self.out(torch.tanh(value) * torch.sigmoid(gate))


class ConvBranch(nn.Module):
    """norm, linear, SiLU, and a depthwise convolution over time with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(8), nn.Linear(8, 8)
        self.depthwise = nn.Conv1d(8, 8, 3, padding=1, groups=8)

    def forward(self, x):
        x = F.silu(self.linear(self.norm(x)))
        return x + self.depthwise(x.transpose(1, 2)).transpose(1, 2)


class GCU(nn.Module):
    """Gated convolutional unit of MossFormer2."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate, self.out = ConvBranch(), ConvBranch(), nn.Linear(8, 8)

    def forward(self, x):
        return x + self.out(self.value(x) * self.gate(x))


class SqueezeExcite(nn.Module):
    """SE; ``hard`` is MobileNetV3's."""

    def __init__(self, hard: bool = False) -> None:
        super().__init__()
        self.down, self.up, self.hard = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1), hard
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        s = self.up(F.relu(self.down(self.pool(x))))
        return x * (F.hardsigmoid(s) if self.hard else torch.sigmoid(s))


class LinearSE(nn.Module):
    """SE with linear layers on a flattened mean."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False)

    def forward(self, x):
        s = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return x * torch.sigmoid(self.up(F.relu(self.down(s))))[:, :, None, None].expand_as(x)


class EffectiveSE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.conv(x.mean((2, 3), keepdim=True)))


class ECA(nn.Module):
    """A 1-D convolution over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        s = self.conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)
        return x * torch.sigmoid(s)


class ConcurrentSE(nn.Module):
    """scSE: channels and space, the larger wins."""

    def __init__(self) -> None:
        super().__init__()
        self.channel, self.space = SqueezeExcite(), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return torch.maximum(self.channel(x), x * torch.sigmoid(self.space(x)))


class CBAM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1))
        self.space = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        x = x * torch.sigmoid(self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True)))
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.space(both))


class AttentionGate(nn.Module):
    """Attention U-Net: the gate is made at half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.theta, self.phi = nn.Conv2d(4, 3, 2, stride=2, bias=False), nn.Conv2d(4, 3, 1)
        self.psi = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        g = F.avg_pool2d(x, 2)
        gate = torch.sigmoid(self.psi(F.relu(self.theta(x) + self.phi(g))))
        return x * F.interpolate(gate, size=x.shape[2:], mode="bilinear")


class Residual(nn.Module):
    """conv, norm, ReLU, conv, norm, plus the input, ReLU: not a gate in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        return F.relu(x + self.norm2(self.second(F.relu(self.norm1(self.first(x))))))


class Highway(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transform, self.gate = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.tanh(self.transform(x)) + (1 - t) * x


class Norms(nn.Module):
    """Norms with no layer before them, after a layer that something else reads, after a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.second = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.linear, self.third = nn.Linear(4, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        y = self.conv(self.first(x) * self.scale)
        return self.third(self.linear((y + F.relu(self.second(y))).mean((2, 3))))


class LayerScale(nn.Module):
    """ConvNeXt's scale per channel after a linear layer in NHWC, and a scalar factor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gamma = nn.Linear(4, 4), nn.Parameter(torch.rand(4) + 0.5)

    def forward(self, x):
        y = self.gamma * self.linear(x.permute(0, 2, 3, 1)) / 3 + 0.25
        return x + y.permute(0, 3, 1, 2)


class SpatialGating(nn.Module):
    """gMLP: half the channels, projected along the tokens, gate the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.mix, self.down = nn.Linear(8, 12), nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 8)

    def forward(self, x):
        value, gate = F.gelu(self.up(x)).chunk(2, -1)
        gate = self.mix(self.norm(gate).transpose(1, 2)).transpose(1, 2)
        return x + self.down(value * gate)


class HardGate(nn.Module):
    """Gated Compression: one number decides whether anything goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(8, 1)

    def forward(self, x):
        return x * (torch.sigmoid(self.score(x)) > 0.5).float()


class PixelAttention(nn.Module):
    """A value times a gate made from itself: no pair of projections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(x))


@dataclass(frozen=True, kw_only=True)
class Net:
    """A module, the shape of its input, and the unary and gate nodes it becomes ("op" or "op/family")."""

    module: nn.Module
    shape: tuple[int, ...]
    nodes: list[str] = field(default_factory=list)


def written_hardswish(x):
    return x * F.relu6(x + 3) / 6


def written_mish(x):
    return x * torch.tanh(F.softplus(x))


def written_gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def written_gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def golu(x):
    return x * torch.exp(-torch.exp(-x))


ACTIVATIONS = {
    F.silu: "SiLU", F.gelu: "GELU", nn.GELU("tanh"): "GELUTanh", F.hardswish: "HardSwish", F.mish: "Mish",
    F.elu: "ELU", F.hardsigmoid: "HardSigmoid", F.softplus: "Softplus", torch.tanh: "Tanh", F.selu: "SELU",
    F.leaky_relu: "LeakyReLU", F.logsigmoid: "LogSigmoid", F.softsign: "Softsign",
    written_hardswish: "HardSwish", written_mish: "Mish", written_gelu: "GELU",
    written_gelu_tanh: "GELUTanh", quick_gelu: "QuickGELU", golu: "Scalar", F.relu: "", F.relu6: "",
}  # fmt: skip
NETS = {
    **{
        f"activation{i}": Net(module=Activation(f), shape=IMAGE, nodes=[name] if name else [])
        for i, (f, name) in enumerate(ACTIVATIONS.items())
    },
    "expanded_silu": Net(module=ExpandedSiLU(), shape=ROW, nodes=["Scalar"]),
    "functional_glu": Net(module=FunctionalGLU(), shape=TOKENS, nodes=["Sigmoid", "Paired/F2"]),
    "chunk_glu": Net(module=ChunkGLU(torch.sigmoid), shape=ROW, nodes=["Sigmoid", "Paired/F2"]),
    "geglu": Net(module=ChunkGLU(F.gelu), shape=TOKENS, nodes=["GELU", "Paired/F2"]),
    "swiglu": Net(module=TwoGLU(F.silu), shape=TOKENS, nodes=["SiLU", "Paired/F2"]),
    "reglu": Net(module=TwoGLU(F.relu), shape=TOKENS, nodes=["Paired/F2"]),
    "bilinear": Net(module=TwoGLU(nn.Identity()), shape=TOKENS, nodes=["Paired/F2"]),
    "gated_conv": Net(module=GatedConv(), shape=IMAGE, nodes=["ELU", "Sigmoid", "Paired/F2"]),
    "chunk_conv": Net(module=ChunkConv(), shape=IMAGE, nodes=["ELU", "Sigmoid", "Paired/F2"]),
    "wavenet": Net(module=WaveNetBlock(), shape=SEQUENCE, nodes=["Tanh", "Sigmoid", "Paired/F2"]),
    "gcu": Net(module=GCU(), shape=TOKENS, nodes=["SiLU", "SiLU", "Paired/F2"]),
    "se": Net(module=SqueezeExcite(), shape=IMAGE, nodes=["Sigmoid", "Reduce/F4"]),
    "hard_se": Net(module=SqueezeExcite(hard=True), shape=IMAGE, nodes=["HardSigmoid", "Reduce/F4"]),
    "linear_se": Net(module=LinearSE(), shape=IMAGE, nodes=["Sigmoid", "Reduce/F4"]),
    "ese": Net(module=EffectiveSE(), shape=IMAGE, nodes=["HardSigmoid", "Reduce/F4"]),
    "eca": Net(module=ECA(), shape=IMAGE, nodes=["Sigmoid", "Reduce/F4"]),
    "scse": Net(module=ConcurrentSE(), shape=IMAGE, nodes=["Sigmoid", "Sigmoid", "Reduce/F4", "Reduce/F4"]),
    "cbam": Net(module=CBAM(), shape=IMAGE, nodes=["Sigmoid", "Sigmoid", "Reduce/F4", "Reduce/F4"]),
    "attention_gate": Net(module=AttentionGate(), shape=IMAGE, nodes=["Sigmoid", "Reduce/F4"]),
    "residual": Net(module=Residual(), shape=IMAGE),
    "highway": Net(module=Highway(), shape=ROW, nodes=["Sigmoid", "Tanh", "Paired/F2"]),
    "norms": Net(module=Norms(), shape=IMAGE),
    "layer_scale": Net(module=LayerScale(), shape=IMAGE),
    "sgu": Net(module=SpatialGating(), shape=TOKENS, nodes=["GELU", "Paired/F5"]),
    "hard_gate": Net(module=HardGate(), shape=ROW, nodes=["Scalar", "Reduce/F4"]),
    "pixel_attention": Net(module=PixelAttention(), shape=IMAGE, nodes=["Sigmoid", "Product/"]),
}


class Zoo(nn.Module):
    """All of them side by side, so that one export does for all."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({name: net.module for name, net in NETS.items()})

    def forward(self, *inputs):
        return tuple(net(x) for net, x in zip(self.nets.values(), inputs, strict=True))
