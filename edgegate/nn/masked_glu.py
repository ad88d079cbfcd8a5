"""Gated linear units whose gate and value are two halves of one matrix."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


class MaskedGLU(nn.Module):  # type: ignore[misc]
    """``sum over i of activation(x (M_i * W)) * (x ((1 - M_i) * W))``: one matrix W, and binary masks M_i.

    A mask is ``scores > 0``. It trains by the straight-through estimator: forward it is binary, backward the gradient
    of the mask is that of its score. A compiled layer stores W once, and a bit for each weight and mask.

    Source: "Masked Gated Linear Unit", arXiv 2506.23225 (NeurIPS 2025), section 3: MGLU with one mask, MoEG ("mixture
    of element-wise gates") with several, SwiMGLU with SiLU as the activation.

    Args:
        in_features: Size of the last axis of the input, at least 1.
        out_features: Gated units, at least 1; the layer that brings them back follows.
        masks: How many, at least 1. The paper's models are as good as a GLU with two matrices from 4 masks on.
        activation: Of the gate.
        generator: Where the first weights and masks come from; torch's own if None.

    Attributes:
        weight: Parameter, float32 [out_features, in_features].
        scores: Parameter, float32 [masks, out_features, in_features].

    Shape:
        x float [..., in_features] -> [..., out_features].

    Raises:
        ValueError: A number below 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        masks: int = 1,
        activation: Activation = F.silu,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(in_features, out_features, masks) < 1:
            raise ValueError(f"impossible layer: {in_features} inputs, {out_features} outputs, {masks} masks")
        self.activation = activation
        bound = 1 / math.sqrt(in_features)
        dims = (out_features, in_features)
        self.weight = nn.Parameter(torch.empty(dims).uniform_(-bound, bound, generator=generator))
        self.scores = nn.Parameter(torch.empty(masks, *dims).normal_(0, 0.01, generator=generator))

    def masks(self) -> Tensor:
        """The binary masks as 0.0 and 1.0, [masks, out_features, in_features]; their gradient is that of the scores."""
        hard = (self.scores > 0).to(self.scores.dtype)
        return hard + (self.scores - self.scores.detach()) if self.training else hard

    def forward(self, x: Tensor) -> Tensor:
        """The gated units."""
        parts = []
        for mask in self.masks():
            gate, value = F.linear(x, mask * self.weight), F.linear(x, (1 - mask) * self.weight)
            parts.append(self.activation(gate) * value)
        return sum(parts[1:], parts[0])

    def extra_repr(self) -> str:
        """What torch prints of it."""
        masks, out_features, in_features = self.scores.shape
        return f"in_features={in_features}, out_features={out_features}, masks={masks}"
