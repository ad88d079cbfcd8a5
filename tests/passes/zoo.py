# mypy: disable-error-code="misc"
"""One small torch module per pattern that the float passes must recognise.

``NETS`` says of each which unary and gate nodes its graph has after the passes, and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from tests.passes.zoo_maps import (
    CBAM,
    ECA,
    AttentionGate,
    ConcurrentSE,
    EffectiveSE,
    HardGate,
    LinearSE,
    PixelAttention,
    SqueezeExcite,
)
from tests.passes.zoo_pairs import (
    GCU,
    ChunkConv,
    ChunkGLU,
    FunctionalGLU,
    GatedConv,
    Highway,
    SpatialGating,
    TwoGLU,
    WaveNetBlock,
)
from tests.passes.zoo_plain import (
    Activation,
    ExpandedSiLU,
    LayerScale,
    Norms,
    Residual,
    golu,
    quick_gelu,
    written_gelu,
    written_gelu_tanh,
    written_hardswish,
    written_mish,
)

IMAGE, TOKENS, SEQUENCE, ROW = (1, 4, 8, 8), (1, 6, 8), (1, 4, 12), (2, 8)


@dataclass(frozen=True, kw_only=True)
class Net:
    """A module, the shape of its input, and the unary and gate nodes it becomes ("op" or "op/family")."""

    module: nn.Module
    shape: tuple[int, ...]
    nodes: list[str] = field(default_factory=list)


ACTIVATIONS = {
    F.silu: "SiLU", F.gelu: "GELU", nn.GELU("tanh"): "GELUTanh", F.hardswish: "HardSwish", F.mish: "Mish",
    F.elu: "ELU", F.hardsigmoid: "HardSigmoid", F.softplus: "Softplus", torch.tanh: "Tanh", F.selu: "SELU",
    F.leaky_relu: "LeakyReLU", F.logsigmoid: "LogSigmoid", F.softsign: "Softsign",
    written_hardswish: "HardSwish", written_mish: "Mish", written_gelu: "GELU",
    written_gelu_tanh: "GELUTanh", quick_gelu: "QuickGELU", golu: "GoLU", F.relu: "", F.relu6: "",
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
    "hard_gate": Net(module=HardGate(), shape=ROW, nodes=[]),
    "pixel_attention": Net(module=PixelAttention(), shape=IMAGE, nodes=["Sigmoid", "Product/"]),
}


class Zoo(nn.Module):
    """All of them side by side, so that one export does for all."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({name: net.module for name, net in NETS.items()})

    def forward(self, *inputs):
        return tuple(net(x) for net, x in zip(self.nets.values(), inputs, strict=True))
