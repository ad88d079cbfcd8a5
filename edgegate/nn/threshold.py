"""Real numbers to bits: one comparison a bit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgegate.nn.lut import as_float


class Threshold(nn.Module):  # type: ignore[misc]
    """Bits ``x > threshold``, strictly, several for each feature.

    Args:
        thresholds: float [F, T]: T for each of the F features of the last axis; or [1, T], the same for all.

    Shape:
        x float [..., F] -> [..., F, T] of 0.0 and 1.0. NaN is above nothing.

    Raises:
        ValueError: ``thresholds`` has another shape, or holds what is not finite.
    """

    thresholds: Tensor

    def __init__(self, thresholds: Tensor) -> None:
        super().__init__()
        if thresholds.ndim != 2 or not bool(torch.isfinite(thresholds).all()):
            raise ValueError(f"thresholds must be finite, of shape [F, T] or [1, T], got {list(thresholds.shape)}")
        self.register_buffer("thresholds", thresholds.detach().to(torch.float32).clone())

    def forward(self, x: Tensor) -> Tensor:
        """The bits."""
        return torch.ops.edgegate.threshold(as_float(x), self.thresholds)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"features={self.thresholds.shape[0]}, bits={self.thresholds.shape[1]}"
