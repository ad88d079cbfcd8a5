"""Models whose weights come from a state_dict: what --model names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.frontend.logic.layers import gates, light, sums, tables
from tests.frontend.logic.standins import case


def recorded(label: str, name: str) -> nn.Module:
    """A model of the fixtures as it is made anew: other weights, and other wiring."""
    model, *_ = case(label, name)
    for value in model.state_dict().values():
        value.zero_()
    return model


def torchlogix_dense() -> nn.Module:
    return recorded("torchlogix-0.2.2", "dense warp 4 0")


def torchlogix_network() -> nn.Module:
    return recorded("torchlogix-0.2.2", "network")


def torchlogix_learnable() -> nn.Module:
    return recorded("torchlogix-0.2.2", "learnable light 2 2")


def old_dense() -> nn.Module:
    return recorded("torchlogix-0.1.1", "dense raw 2 64")


def old_convolution() -> nn.Module:
    return recorded("torchlogix-0.1.1", "conv 1 raw 2")


def old_candidates() -> nn.Module:
    return recorded("torchlogix-0.1.1", "learnable light 2 2")


def old_every_candidate() -> nn.Module:
    return recorded("torchlogix-0.1.1", "learnable light 2 -1")


def difflogic() -> nn.Module:
    return nn.Sequential(gates(6, 8, seed=5), gates(8, 8, seed=6), sums())


def difflogic_light() -> nn.Module:
    return nn.Sequential(light(indices=gates(6, 8, seed=7).indices), sums())


def registered(layer: Any) -> Any:
    """The layer with its wiring as one buffer, which the package's code reads the same way."""
    indices = torch.stack(layer.indices)
    del layer.indices
    layer.register_buffer("indices", indices)
    return layer


def difflogic_registered() -> nn.Module:
    return nn.Sequential(registered(gates(6, 8, seed=5)), sums())


def difflogic_registered_apart() -> nn.Module:
    layer = gates(6, 8, seed=5)
    for name, side in zip("ab", layer.indices, strict=True):
        layer.register_buffer(name, side)
    layer.indices = (layer.a, layer.b)
    return nn.Sequential(layer, sums())


def dwn() -> nn.Module:
    return nn.Sequential(tables(mapping=nn.Parameter(torch.zeros(8, 3).int(), requires_grad=False)), sums("torch_dwn"))


def dwn_shuffled() -> nn.Module:
    return nn.Sequential(tables(), sums("torch_dwn", randperm=torch.randperm(8)))
