"""Reals as bits, several for each: thermometer codes.

J. Buckman et al., "Thermometer Encoding", ICLR 2018. Where the thresholds stand: A. Bacellar et al., "Differentiable
Weightless Neural Networks", ICML 2024, section 3.4, for the distributive one.
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor, nn

from edgegate.nn.lut import as_float

SPACINGS, LAYOUTS = ("uniform", "gaussian", "distributive"), ("feature-major", "bit-major")


class Thermometer(nn.Module):  # type: ignore[misc]
    """Each feature as ``bits`` bits ``x > threshold``, strictly, the thresholds rising.

    Args:
        bits: Bits of a feature, T, at least 1.
        features: Features with thresholds of their own, F; 1 for the same thresholds everywhere.
        spacing: Where :meth:`fit` puts the thresholds: "uniform", evenly between the least and the greatest value;
            "gaussian", so that a normal distribution of the data's mean and deviation falls between them in equal
            parts; "distributive", so that the data does.
        layout: Order of the bits: "feature-major", those of a feature side by side, bit ``f * T + t``; or
            "bit-major", ``t * F + f``.

    Attributes:
        thresholds: Buffer, float32 [features, bits]; evenly spaced in (0, 1) until :meth:`fit`.

    Shape:
        x float [..., F] -> [..., F * T] of 0.0 and 1.0.

    Raises:
        ValueError: An argument outside of what is said here; or x with another last axis.
    """

    thresholds: Tensor

    def __init__(
        self, bits: int, features: int = 1, *, spacing: str = "uniform", layout: str = "feature-major"
    ) -> None:
        super().__init__()
        if bits < 1 or features < 1 or spacing not in SPACINGS or layout not in LAYOUTS:
            what = f"bits={bits}, features={features}, spacing={spacing!r}, layout={layout!r}"
            raise ValueError(f"impossible thermometer: {what}")
        self.spacing, self.layout = spacing, layout
        self.register_buffer("thresholds", self._parts(bits).to(torch.float32).repeat(features, 1))

    @staticmethod
    def _parts(bits: int) -> Tensor:
        return torch.arange(1, bits + 1, dtype=torch.float64) / (bits + 1)

    def fit(self, data: Tensor) -> Thermometer:
        """Put the thresholds where the training data has them; returns itself.

        Args:
            data: float [..., F]; with one set of thresholds, any shape.

        Raises:
            ValueError: Other features, no data, or data that is not finite.
        """
        features, bits = self.thresholds.shape
        if features > 1 and (data.ndim < 1 or data.shape[-1] != features):
            raise ValueError(f"expected data of {features} features in the last axis, got {list(data.shape)}")
        columns = data.detach().to(torch.float64).reshape(-1, features)
        if not columns.numel() or not bool(torch.isfinite(columns).all()):
            raise ValueError(f"thresholds need finite data, got {list(data.shape)}")
        self.thresholds.copy_(self._fitted(columns, self._parts(bits)))
        return self

    def _fitted(self, columns: Tensor, parts: Tensor) -> Tensor:
        if self.spacing == "uniform":
            low, high = columns.amin(0)[:, None], columns.amax(0)[:, None]
            return low + (high - low) * parts
        if self.spacing == "gaussian":
            scores = torch.tensor([NormalDist().inv_cdf(p) for p in parts.tolist()], dtype=torch.float64)
            return columns.mean(0)[:, None] + columns.std(0, correction=0)[:, None] * scores
        places = (len(columns) * parts).long().clamp_(max=len(columns) - 1)
        return columns.sort(0).values[places].t()

    def forward(self, x: Tensor) -> Tensor:
        """The bits."""
        bits = torch.ops.edgegate.threshold(as_float(x), self.thresholds)
        return (bits.transpose(-1, -2) if self.layout == "bit-major" else bits).flatten(-2)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        features, bits = self.thresholds.shape
        return f"bits={bits}, features={features}, spacing={self.spacing!r}, layout={self.layout!r}"
