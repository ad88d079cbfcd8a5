"""Attention whose keys have loud channels, behind a norm or not, and what its logits become in blocks."""

from __future__ import annotations

import functools

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch import nn

from edgegate.graph import Array
from edgegate.passes.to_qdq import to_qdq
from edgegate.quant import ProductStorage, Scheme
from tests.quant.blocks.nets import feeds, floats
from tests.quant.folds.blocks import Attention

DIMS = (1, 12, 32)
FITTED, OTHERS = feeds(*DIMS, count=8)[:5], feeds(*DIMS, count=8)[5:]
"""Calibration data, and inputs that it does not hold."""
PLAIN = ProductStorage(keys="bfp12_b16", queries="bfp16_b16")
KEYS = "bfp12_b16:bfp16_b16"


class Net(nn.Module):
    """A residual block of attention: two pairs of each head of keys are loud, and met by quiet queries."""

    def __init__(self, power: float, normed: bool, style: str = "half", **options) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(32) if normed else nn.Identity()
        self.attention = Attention(dim=32, size=32, length=12, style=style, **options)
        pairs = (4, 5, 18, 19) if style.startswith("interleaved") else (2, 18, 9, 25)
        rows = torch.arange(0, self.attention.kv * 32, 32)[:, None] + torch.tensor(pairs)
        queries = torch.arange(0, self.attention.heads * 32, 32)[:, None] + torch.tensor(pairs)
        with torch.no_grad():
            self.attention.k.weight[rows.flatten()] *= 16
            self.attention.q.weight[queries.flatten()] *= 16**-power

    def forward(self, x):
        return x + self.attention(self.norm(x))


@functools.cache
def net(power: float = 1.0, normed: bool = True, style: str = "half", **options) -> nn.Module:
    """The net with seeded weights."""
    torch.manual_seed(0)
    return Net(power, normed, style, **options).eval()


def graph(module: nn.Module) -> ir.Model:
    """Its normalised graph, a new one every time."""
    return floats(module, *DIMS)


def logits(model: ir.Model, name: str) -> Array:
    """What ONNX Runtime computes for a value, on the inputs that calibration does not hold."""
    probe = model.clone()
    probe.graph.outputs.append(next(v for node in probe.graph for v in node.outputs if v.name == name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(probe).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.stack([session.run([name], feed)[0] for feed in OTHERS])


def in_blocks(model: ir.Model, scheme: Scheme) -> ir.Model:
    """A copy of the float model in standard ops."""
    made = model.clone()
    to_qdq(scheme)(made)
    return made


def unsorted(module: nn.Module, name: str) -> ir.Model:
    """The same products in blocks, and nothing else done."""
    return in_blocks(graph(module), Scheme(values={}, products={name: PLAIN}))


def decibels(got: Array, wanted: Array) -> float:
    """Signal to noise."""
    return float(10 * np.log10(np.square(wanted).sum() / np.square(got - wanted).sum()))
