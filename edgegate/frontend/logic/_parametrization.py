"""How torchlogix trains the tables of a layer, and which table the trained numbers stand for in eval mode."""

from __future__ import annotations

from typing import Any

import torch

from edgegate.frontend.logic._layer import NOT_TRAINED, Refused, attribute, raw

_KINDS = {"RawLUTParametrization": "raw", "WarpLUTParametrization": "warp", "LightLUTParametrization": "light"}
_WHOLE = "give the layer as torchlogix makes it"


def tables(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """The tables of a layer of torchlogix, by its ``parametrization`` and ``lut_rank``.

    Args:
        layer: The layer.
        weight: float [..., 16] for raw, else [..., 2**lut_rank].

    Returns:
        bool [..., 2**lut_rank]; the first input is the highest bit of the address.
    """
    found = attribute(layer, "parametrization", _WHOLE)
    rank = int(attribute(layer, "lut_rank", _WHOLE))
    names = [found] if isinstance(found, str) else [c.__name__ for c in type(found).__mro__]
    kind = next((_KINDS.get(n, n) for n in names if n in _KINDS or n in _KINDS.values()), None)
    if kind is None:
        raise Refused(f"has the unknown parametrization {names[0]}", "train it with raw, warp or light")
    if kind == "raw" and rank != 2:
        raise Refused(f"has gates of {rank} inputs with raw weights", "train wider gates with warp or light")
    entries = 16 if kind == "raw" else 1 << rank
    if weight.shape[-1] != entries:
        raise Refused(f"has {weight.shape[-1]} numbers for a {kind} gate of {rank} inputs, not {entries}", _WHOLE)
    return {"raw": raw, "warp": warp, "light": light}[kind](weight)


def light(weight: torch.Tensor) -> torch.Tensor:
    """One number for each entry, which is 1 where the number is above 0."""
    return weight > 0


def warp(weight: torch.Tensor) -> torch.Tensor:
    """The sign of the Walsh-Hadamard transform: an entry is 1 where the sum is below 0 (arXiv 2510.15655).

    Inputs 0 and 1 are +1 and -1; coefficient ``c`` is that of the product of the inputs whose bits are set in ``c``.
    The sum is that of eval mode, coefficient by coefficient in the type of the weights: it decides where exact
    arithmetic would be near 0.
    """
    address = torch.arange(weight.shape[-1])
    total = weight[..., :1].expand_as(weight)
    for c in range(1, weight.shape[-1]):
        total = total + weight[..., c : c + 1] * (1 - 2 * _parity(address & c)).to(weight.dtype)
    if bool(total.isnan().any()):
        raise Refused("has infinite weights that cancel", NOT_TRAINED)
    return total < 0


def _parity(numbers: torch.Tensor) -> torch.Tensor:
    """Whether a number of up to eight bits has an odd count of ones."""
    for shift in (4, 2, 1):
        numbers = numbers ^ numbers >> shift
    return numbers & 1
