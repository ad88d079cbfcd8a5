"""Every net of the families: what must be recognised in it, and how near its integers must come to float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from tests.families import activations, maps, masked, mixing, others, pairs, plain, structured, unary

IMAGE, TOKENS, SEQUENCE, ROW = (1, 3, 12, 12), (1, 6, 12), (1, 4, 24), (1, 10)
TOKENS_16, MIXED = (1, 6, 16), (1, 8, 12)
LOGISTIC = ("Paired", "F2", "Sigmoid", "")
EXPANDED = (activations.arctangent, torch.sigmoid, activations.normal)
ELU = ("Paired", "F2", "Sigmoid", "ELU")


@dataclass(frozen=True, kw_only=True)
class Net:
    """A family's net.

    Attributes:
        make: Makes the module.
        shape: Of its input.
        gates: (kind, family, activation, activation of the value) of each gate, in order.
        unary: Names of the scalar functions, in order.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    gates: tuple[tuple[str, str, str, str], ...] = ()
    unary: tuple[str, ...] = ()


def spread(activation: str, value: str = "ReLU") -> tuple[str, str, str, str]:
    """What a gate over channels or places is called."""
    return ("Reduce", "F4", activation, value)


def feed_forward(activation: Callable[..., object], packed: bool, name: str, *unary: str) -> Net:
    """A transformer's gated half."""
    make, gate = partial(pairs.FeedForward, activation, packed), ("Paired", "F2", name, "")
    return Net(make=make, shape=TOKENS, gates=(gate,) * 2, unary=unary)


NETS = {
    "silu_gelu": Net(
        make=partial(unary.Chain, F.silu, F.gelu, nn.GELU("tanh"), unary.written_swish), shape=IMAGE,
        unary=("SiLU", "GELU", "GELUTanh", "SiLU"),
    ),
    "hard": Net(
        make=partial(unary.Chain, F.hardswish, F.hardsigmoid, F.relu6), shape=IMAGE,
        unary=("HardSwish", "HardSigmoid"),
    ),
    "smooth": Net(
        make=partial(unary.Chain, F.mish, F.elu, F.softplus, unary.written_softsign), shape=IMAGE,
        unary=("Mish", "ELU", "Softplus", "Softsign"),
    ),
    "expanded": Net(
        make=lambda: unary.Chain(activations.golu, *map(activations.Expanded, EXPANDED)), shape=IMAGE,
        unary=("GoLU", "Scalar_1", "Scalar_2", "Scalar_3"),
    ),
    "mittag_leffler": Net(
        make=lambda: unary.Chain(activations.helu, activations.MittagLeffler(0.8)), shape=IMAGE,
        unary=("Scalar_1",),
    ),
    "channelwise": Net(
        make=lambda: unary.Chain(activations.Channelwise()), shape=IMAGE,
        gates=(("Paired", "F2", "", ""),), unary=("Sigmoid",),
    ),
    "slopes": Net(make=unary.Slopes, shape=IMAGE, unary=("Scalar_1", "Scalar_2", "Scalar_3")),
    "glu": Net(make=pairs.GLU, shape=(1, 6, 10), gates=(LOGISTIC,) * 2, unary=("Sigmoid",) * 2),
    "swiglu": feed_forward(F.silu, False, "SiLU", "SiLU", "SiLU"),
    "geglu": feed_forward(F.gelu, True, "GELU", "GELU", "GELU"),
    "reglu": feed_forward(F.relu, True, "ReLU"),
    "bilinear": feed_forward(nn.Identity(), False, ""),
    "deepfill_chunk": Net(
        make=partial(pairs.DeepFill, True), shape=(1, 4, 16, 16), gates=(ELU,) * 4, unary=("ELU", "Sigmoid") * 4
    ),
    "deepfill_two": Net(
        make=partial(pairs.DeepFill, False), shape=(1, 4, 16, 16), gates=(ELU,) * 4, unary=("ELU", "Sigmoid") * 4
    ),
    "wavenet": Net(
        make=pairs.WaveNet, shape=(1, 2, 24), gates=(("Paired", "F2", "Sigmoid", "Tanh"),) * 3,
        unary=("Tanh", "Sigmoid") * 3,
    ),
    "gcu": Net(make=pairs.GCU, shape=(1, 8, 24), gates=(("Paired", "F2", "", ""),), unary=("SiLU", "SiLU")),
    "conv_glu": Net(
        make=pairs.ConvGLU, shape=IMAGE, gates=(("Paired", "F2", "GELU", ""),), unary=("GELU",)
    ),
    "highway": Net(
        make=pairs.Highway, shape=ROW, gates=(LOGISTIC,) * 2, unary=("Sigmoid", "Tanh") * 2
    ),
    "se": Net(make=lambda: maps.Between(maps.Squeeze(8, 4)), shape=IMAGE,
        gates=(spread("Sigmoid"),), unary=("Sigmoid",)),
    "ese": Net(
        make=lambda: maps.Between(maps.Effective()), shape=IMAGE, gates=(spread("HardSigmoid"),),
        unary=("HardSigmoid",),
    ),
    "scse": Net(
        make=lambda: maps.Between(maps.Concurrent()), shape=IMAGE, gates=(spread("Sigmoid"),) * 2,
        unary=("Sigmoid",) * 2,
    ),
    "cbam": Net(
        make=lambda: maps.Between(maps.CBAM()), shape=IMAGE, gates=(spread("Sigmoid"), spread("Sigmoid", "")),
        unary=("Sigmoid",) * 2,
    ),
    "attention_unet": Net(make=maps.AttentionUNet, shape=IMAGE, gates=(spread("Sigmoid"),), unary=("Sigmoid",)),
    "mobilenet_v3": Net(
        make=maps.MobileNetV3, shape=(1, 3, 16, 16), gates=(spread("HardSigmoid", "HardSwish"),) * 2,
        unary=("HardSwish",) * 3 + ("HardSigmoid",) + ("HardSwish",) * 2 + ("HardSigmoid",),
    ),
    "residual": Net(make=plain.Residual, shape=IMAGE),
    "pools": Net(make=plain.Pools, shape=IMAGE),
    "enlarging": Net(make=plain.Enlarging, shape=(1, 3, 6, 6)),
    "moves": Net(make=plain.Moves, shape=IMAGE),
    "line": Net(make=plain.Line, shape=SEQUENCE, unary=("SiLU",)),
    "mglu": Net(
        make=partial(masked.Masked, 1), shape=TOKENS_16, gates=(("Masked", "F3", "SiLU", ""),) * 2, unary=("SiLU",) * 2
    ),
    "moeg": Net(
        make=partial(masked.Masked, 4, F.gelu), shape=TOKENS_16, gates=(("Masked", "F3", "GELU", ""),) * 8,
        unary=("GELU",) * 8,
    ),
    "mglu_chunk": Net(
        make=masked.Packed, shape=TOKENS_16, gates=(("Paired", "F2", "GELU", ""),), unary=("GELU",)
    ),
    "blast": Net(
        make=lambda: structured.Structured(*(structured.Blast(24, 24, 4, 5) for _ in range(3))), shape=(1, 6, 24),
        gates=(("Product", "", "Sigmoid", ""),), unary=("Sigmoid",),
    ),
    "monarch": Net(
        make=lambda: structured.Structured(*(structured.Monarch(24, 4) for _ in range(3))), shape=(1, 6, 24),
        gates=(LOGISTIC,), unary=("Sigmoid",),
    ),
    "pruned": Net(
        make=lambda: structured.Structured(*(structured.Pruned(64, 64, 16, 0.3) for _ in range(3))), shape=(1, 32, 64),
        gates=(LOGISTIC,), unary=("Sigmoid",),
    ),
    "gmlp": Net(
        make=mixing.GMLP, shape=MIXED,
        gates=(("Paired", "F5", "GELU", ""),) * 2, unary=("GELU",) * 2,
    ),
    "maxim": Net(
        make=mixing.Maxim, shape=(1, 3, 8, 8),
        gates=(("Paired", "F2", "Scalar_1", "GELU"),) * 2, unary=("GELU", "GELU", "Scalar_1", "GELU", "Scalar_1"),
    ),
    "ninformer": Net(
        make=mixing.NiN, shape=MIXED,
        gates=(("Paired", "F2", "", ""),) * 2, unary=("GELU",) * 6,
    ),
    "eca": Net(
        make=lambda: maps.Between(others.ECA()), shape=IMAGE,
        gates=(spread("Sigmoid"),), unary=("Sigmoid",),
    ),
    "global_context": Net(
        make=lambda: maps.Between(others.GlobalContext()), shape=IMAGE,
        gates=(spread("Sigmoid"),), unary=("Sigmoid",),
    ),
    "starnet": Net(
        make=others.Star, shape=IMAGE,
        gates=(("Paired", "F2", "Clip", ""),),
    ),
    "mambaout": Net(
        make=others.MambaOut, shape=IMAGE,
        gates=(("Paired", "F2", "GELU", ""),), unary=("GELU",),
    ),
    "lgtsm": Net(
        make=others.TemporalShift, shape=(5, 3, 8, 8),
        gates=(("Paired", "F2", "Sigmoid", "Scalar_1"),), unary=("Scalar_1", "Sigmoid"),
    ),
    "gateskip": Net(
        make=others.GateSkip, shape=TOKENS,
        gates=(LOGISTIC,) * 2, unary=("Sigmoid", "SiLU") * 2,
    ),
    "nalu": Net(
        make=others.NALU, shape=ROW,
        gates=(LOGISTIC,), unary=("Sigmoid", "Scalar_1", "Exp"),
    ),
    "gated_perceptron": Net(
        make=others.GatedPerceptron, shape=ROW,
        gates=(("Paired", "F2", "", ""), *[("Product", "", "", "")] * 2), unary=("Tanh",),
    ),
    "mobilenet_v4": Net(make=others.Inverted, shape=IMAGE),
    "mobilenet_v5": Net(make=others.NormedInverted, shape=IMAGE, unary=("GELUTanh",)),
    "gated_norm": Net(
        make=others.GatedNorm, shape=TOKENS_16, gates=(("Paired", "F2", "SiLU", ""),), unary=("SiLU",)
    ),
    "ratio": Net(make=pairs.Ratio, shape=ROW, gates=(("Paired", "F2", "Scalar_1", ""),), unary=("Scalar_1",)),
}  # fmt: skip
"""Name -> net."""


FLOORS = {
    "silu_gelu": (25, 23, 34),
    "hard": (25, 21, 31),
    "smooth": (25, 22, 35),
    "expanded": (21, 21, 33),
    "mittag_leffler": (26, 23, 35),
    "channelwise": (28, 26, 37),
    "slopes": (24, 20, 34),
    "glu": (22, 26, 39),
    "swiglu": (32, 27, 34),
    "geglu": (29, 28, 35),
    "reglu": (29, 24, 35),
    "bilinear": (31, 30, 35),
    "deepfill_chunk": (19, 15, 29),
    "deepfill_two": (21, 17, 31),
    "wavenet": (23, 19, 35),
    "gcu": (25, 19, 37),
    "conv_glu": (27, 24, 35),
    "highway": (25, 24, 42),
    "se": (28, 21, 35),
    "ese": (28, 27, 36),
    "scse": (28, 25, 35),
    "cbam": (27, 24, 36),
    "attention_unet": (26, 23, 35),
    "mobilenet_v3": (28, 22, 35),
    "residual": (35, 28, 42),
    "pools": (23, 23, 34),
    "enlarging": (22, 14, 31),
    "moves": (27, 24, 37),
    "line": (28, 14, 37),
    "mglu": (30, 37, 54),
    "moeg": (29, 35, 45),
    "mglu_chunk": (28, 25, 38),
    "blast": (26, 24, 42),
    "monarch": (30, 29, 48),
    "pruned": (33, 31, 52),
    "gmlp": (23, 24, 36),
    "maxim": (23, 21, 35),
    "ninformer": (22, 22, 36),
    "eca": (29, 17, 39),
    "global_context": (28, 27, 38),
    "starnet": (24, 20, 35),
    "mambaout": (28, 27, 39),
    "lgtsm": (25, 21, 36),
    "gateskip": (29, 27, 44),
    "nalu": (32, 32, 31),
    "gated_perceptron": (30, 28, 37),
    "mobilenet_v4": (21, 12, 35),
    "mobilenet_v5": (27, 24, 37),
    "gated_norm": (27, 30, 43),
    "ratio": (30, 28, 40),
}
"""Least signal-to-noise ratio against float in dB: calibrated, without data, in 16 bits. Measured: 2 to 4 more."""


def awake(net: Net) -> nn.Module:
    """The net's module with weights as training leaves them: gates open and close, norms have moments."""
    torch.manual_seed(0)
    module = net.make().eval()
    for part in module.modules():
        if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
            fan = part.weight[0].numel() if not getattr(part, "transposed", False) else part.weight[:, 0].numel()
            nn.init.normal_(part.weight, std=(1.4 / fan) ** 0.5)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.3)
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
    return module
