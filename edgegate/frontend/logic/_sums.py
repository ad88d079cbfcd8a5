"""GroupSum of all families: contiguous groups, a temperature, and what forks add to it."""

from __future__ import annotations

import math
from typing import Any

import torch

from edgegate.frontend.logic._layer import Refused, lut, weights, wires
from edgegate.nn import GroupSum

_NUMBERS = "state_dict files hold neither k nor tau: make the GroupSum with those it was trained with"


def group_sum(layer: Any) -> torch.nn.Module:
    """``sum / tau`` (difflogic, torch_dwn) or ``(sum + beta) / tau`` (torchlogix), groups of ``ceil(n / k)`` bits.

    The fork of Light DLGN may invert bits, sum several splits, and add a bias; torch_dwn may shuffle bits.
    """
    k, tau, beta = _number(layer, "k"), _number(layer, "tau"), _number(layer, "beta", 0.0)
    if k != int(k) or k < 1 or tau <= 0:
        raise Refused(f"has k={k:g} and tau={tau:g}", _NUMBERS)
    if getattr(layer, "weights", None) is not None and not bool((layer.weights == 1).all()):
        raise Refused("weighs its bits with trained numbers", "train it with use_weights=False")
    splits = int(_number(layer, "n_splits", 1))
    if splits > 1:
        parts = [*_rewired(layer), *_split(layer, int(k), splits, tau)]
    else:
        parts = [*_rewired(layer), GroupSum(int(k), tau, beta)]
    if getattr(layer, "bias", None) is not None:
        parts.append(Shift(weights(layer.bias, "bias", *layer.bias.shape)))
    return parts[0] if len(parts) == 1 else torch.nn.Sequential(*parts)


def _number(layer: Any, name: str, default: float | None = None) -> float:
    found: Any = getattr(layer, name, default)
    found = found.detach() if isinstance(found, torch.Tensor) else found
    number = isinstance(found, (int, float)) or (isinstance(found, torch.Tensor) and found.numel() == 1)
    if not number or not math.isfinite(float(found)):
        raise Refused(f"has no {name}" if found is None else f"has {name}={found!r}, no finite number", _NUMBERS)
    return float(found)


def _split(layer: Any, k: int, splits: int, tau: float) -> list[torch.nn.Module]:
    """Several runs of ``k`` groups, each on its own or all added up."""
    if getattr(layer, "for_each_split", False):
        return [GroupSum(splits * k, tau), torch.nn.Unflatten(-1, (splits, k))]
    return [Interleave(splits, k), GroupSum(k, tau)]


def _rewired(layer: Any) -> list[torch.nn.Module]:
    """Look-up tables of one input, for bits that are inverted or in another order."""
    made: list[torch.nn.Module] = []
    order, flipped = getattr(layer, "randperm", None), getattr(layer, "flip_mask", None)
    if order is not None:
        found = wires(order, "randperm", len(order))
        made.append(lut(found[:, None], torch.tensor([False, True]).expand(len(found), 2)))
    if flipped is not None and _number(layer, "gs_flip", 0) > 0:
        inverted = flipped.detach().cpu().bool()
        made.append(lut(torch.arange(len(inverted))[:, None], torch.stack([inverted, ~inverted], 1)))
    return made


class Interleave(torch.nn.Module):  # type: ignore[misc]
    """[..., splits, k, n] flat to [..., k, splits, n] flat: the parts of each group side by side."""

    def __init__(self, splits: int, k: int) -> None:
        super().__init__()
        self.splits, self.k = splits, k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The bits in another order."""
        return x.unflatten(-1, (self.splits, self.k, -1)).transpose(-3, -2).flatten(-3)


class Shift(torch.nn.Module):  # type: ignore[misc]
    """Adds a constant to the sums."""

    bias: torch.Tensor

    def __init__(self, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sums and the constant."""
        return x + self.bias
