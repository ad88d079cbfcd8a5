"""What the tests of brevitas' networks share: nets side by side, exported once, in integers and in floats."""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnxruntime
import torch
from torch import nn

import edgegate

Scheme = Any


class Apart(nn.Module):
    """Modules that all read one input; a tuple of what they make. One export does for all of them."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(part(x) for part in self.parts)


def entry(bits: int = 8, **options: Any) -> nn.Module:
    return qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True, **options)


def settled(x: torch.Tensor, net: nn.Module) -> Any:
    """``net`` in eval mode, its scales settled on a few batches."""
    net.train()
    for _ in range(4):
        net(x)
    return net.eval()


def integers(net: nn.Module, x: torch.Tensor) -> tuple[list[np.ndarray], Scheme]:
    """All that the integer program computes for ``x``, one after the other, and its scheme."""
    data, scheme, _ = edgegate.quantize(net, (x[:1],), calib={"": x.numpy()})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options)
    name = session.get_inputs()[0].name
    made = [session.run(None, {name: x[i : i + 1].numpy()}) for i in range(len(x))]
    return [np.concatenate(parts) for parts in zip(*made, strict=True)], scheme


def floats(net: nn.Module, x: torch.Tensor, scheme: Scheme | None = None) -> list[np.ndarray]:
    """All that brevitas' own model computes, of ``x`` as the scheme stores it: what was rounded once is not twice."""
    if scheme is not None:
        (stored,) = (s for name, s in scheme.values.items() if name in ("x", "input"))
        x = torch.from_numpy(stored.dequantize(stored.quantize(x.numpy())).astype(np.float32))
    with torch.inference_mode():
        y = net(x)
    parts = [y] if isinstance(y, torch.Tensor) or hasattr(y, "value") else list(y)
    return [np.asarray(getattr(part, "value", part).numpy()) for part in parts]
