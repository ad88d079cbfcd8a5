"""Thresholds in front of a network: one bit for each, ``x > threshold``, in the layout that the network reads."""

from __future__ import annotations

import math
from typing import Any

import torch

from edgegate.frontend.logic._layer import NOT_TRAINED, Refused, attribute, weights
from edgegate.nn import Threshold

_FIT = "give the layer thresholds"


def thresholds(found: Any, channels: bool) -> tuple[torch.Tensor, tuple[int, ...], bool]:
    """The arguments of :class:`Binarize` for thresholds that broadcast against ``x[..., None]``.

    Args:
        found: float [..., T].
        channels: Whether thresholds of two axes belong to the channels of an image.
    """
    if not isinstance(found, torch.Tensor) or found.ndim == 0:
        raise Refused("has thresholds that are no tensor of at least one axis", _FIT)
    values = weights(found.float() if found.dtype != torch.float64 else found, "thresholds", *found.shape)
    if not bool(values.isfinite().all()):
        raise Refused("has thresholds that are not finite", NOT_TRAINED)
    if not torch.equal(values.float().to(values.dtype), values):
        raise Refused("has thresholds that no float32 holds", "give them as float32 (thresholds.float())")
    lead = tuple(int(d) for d in values.shape[:-1])
    if math.prod(lead) > 1 and len(lead) > 1 and 1 in lead:
        raise Refused(f"has thresholds of shape {list(values.shape)}", "expand them to the shape of the features")
    return values.reshape(-1, values.shape[-1]), lead if math.prod(lead) > 1 else (), channels and len(lead) == 1


def fixed(layer: Any) -> torch.nn.Module:
    """FixedBinarization and SoftBinarization of torchlogix: in eval mode they are the same."""
    return _of(layer, attribute(layer, "thresholds", _FIT))


def learnable(layer: Any) -> torch.nn.Module:
    """LearnableBinarization: thresholds as the sum of differences.

    torchlogix 0.2.2 passes all differences but the first through a softplus in eval mode, older versions do not.
    """
    found = attribute(layer, "raw_diffs", _FIT)
    steps = weights(found, "raw_diffs", *found.shape)
    if hasattr(type(layer), "_get_ordered_diffs") and steps.shape[-1] > 1:
        scale = float(attribute(layer, "temperature_softplus", _FIT)) + 1e-6
        rest = scale * torch.nn.functional.softplus(steps[..., 1:] / scale)
        steps = torch.cat([steps[..., :1], rest], -1)
    return _of(layer, steps.cumsum(-1))


def dummy(_: Any) -> torch.nn.Module:
    """DummyBinarization: the inputs are bits already."""
    return torch.nn.Identity()


def _of(layer: Any, found: Any) -> torch.nn.Module:
    merged = int(attribute(layer, "feature_dim", "give the layer as torchlogix makes it"))
    return torch.nn.Sequential(Binarize(*thresholds(found, channels=True)), Merge(merged))


class Binarize(torch.nn.Module):  # type: ignore[misc]
    """``x[..., None] > thresholds``, as 0.0 and 1.0.

    Args:
        values: float [F, T], or [1, T] for all features alike.
        features: The axes of x, the last ones, that the thresholds belong to; () for all alike.
        channels: Whether they belong to axis 1 of an x of four axes.
    """

    def __init__(self, values: torch.Tensor, features: tuple[int, ...], channels: bool) -> None:
        super().__init__()
        self.bits, self.features, self.channels = Threshold(values), features, channels and bool(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., T]."""
        if self.channels and x.ndim == 4:
            return self.bits(x.movedim(1, -1)).movedim(-2, 1)
        if len(self.features) > 1:
            if tuple(x.shape[-len(self.features) :]) != self.features:
                raise ValueError(f"thresholds for features {self.features} do not fit {list(x.shape)}")
            return self.bits(x.flatten(-len(self.features))).unflatten(-2, self.features)
        return self.bits(x)

    def binarize(self, x: torch.Tensor) -> torch.Tensor:
        """What torch_dwn calls it."""
        return self(x)


class Merge(torch.nn.Module):  # type: ignore[misc]
    """The last axis folded into axis ``dim``, inside it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One axis fewer."""
        dim = self.dim % x.ndim
        return x.movedim(-1, dim + 1).flatten(dim, dim + 1)


class Sign(torch.nn.Module):  # type: ignore[misc]
    """``x > 0`` as 0.0 and 1.0."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = Threshold(torch.zeros(1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """In the shape of x."""
        return self.bits(x).flatten(-2)
