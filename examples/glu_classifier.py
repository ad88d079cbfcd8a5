"""A gated multilayer perceptron for 8x8 digits: SwiGLU, then GLU.

Source: N. Shazeer, "GLU Variants Improve Transformer", 2020, equations 4 and 6. GLU itself: Y. Dauphin
et al., "Language Modeling with Gated Convolutional Networks", ICML 2017.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).parent / "weights" / "glu_classifier.safetensors"


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)): [N, width] -> [N, width]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class GLUClassifier(nn.Module):
    """[N, 1, 8, 8] in [0, 1] -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(64, 64)
        self.mix = SwiGLU(32, 64)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.enter(torch.flatten(x, 1)), dim=-1)
        x = x + self.mix(x)
        return self.head(x)


def build() -> nn.Module:
    """The network, untrained: the weights are a file of their own (``WEIGHTS``)."""
    return GLUClassifier()
