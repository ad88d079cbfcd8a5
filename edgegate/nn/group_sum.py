"""Sums of groups of bits: the head of a logic gate network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgegate.nn.lut import as_float


class GroupSum(nn.Module):  # type: ignore[misc]
    """The sums of ``groups`` contiguous groups of bits, ``(sum + beta) / tau``.

    A group has ``ceil(n / groups)`` bits; zeros are added at the end where n is no multiple. For a network of gates:
    F. Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022 (arXiv 2210.08277), section 3.1.

    Args:
        groups: Number of sums, at least 1: the classes.
        tau: Temperature, not 0: larger ones make the logits of the same bits smaller.
        beta: What is added to each count.

    Shape:
        x float [..., n] -> [..., groups]. Differentiable.

    Raises:
        ValueError: ``groups`` below 1, or ``tau`` or ``beta`` no finite number, or ``tau`` 0.
    """

    def __init__(self, groups: int, tau: float = 1.0, beta: float = 0.0) -> None:
        super().__init__()
        if groups < 1 or tau == 0 or not math.isfinite(tau) or not math.isfinite(beta):
            raise ValueError(f"impossible sums: groups={groups}, tau={tau}, beta={beta}")
        self.groups, self.tau, self.beta = groups, float(tau), float(beta)

    def forward(self, x: Tensor) -> Tensor:
        """The sums."""
        return torch.ops.edgegate.group_sum(as_float(x), self.groups, self.tau, self.beta)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"groups={self.groups}, tau={self.tau:g}, beta={self.beta:g}"
