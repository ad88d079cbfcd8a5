"""What the readers of all families share: attributes of a layer, and look-up tables from what was trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from edgegate.nn import Lut

Reader: TypeAlias = Callable[[Any], torch.nn.Module]
"""Makes the modules that stand for a layer."""
Wiring: TypeAlias = Callable[[Any], list[torch.Tensor]]
"""The tensors of a layer that were drawn at random when it was made."""

WIDEST = 6
"""Most inputs of a gate."""
NOT_TRAINED = "check the training run"


class Refused(Exception):
    """A layer that cannot be read: what it lacks, and what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def attribute(layer: Any, name: str, fix: str) -> Any:
    """The attribute ``name``, which must be there and not None."""
    found = getattr(layer, name, None)
    if found is None:
        raise Refused(f"has no {name}", fix)
    return found


def weights(found: Any, name: str, *shape: int | None) -> torch.Tensor:
    """Trained numbers, on the CPU and apart from the layer.

    Args:
        found: What the layer holds.
        name: Its name, for error messages.
        shape: Sizes of its axes; None for any.
    """
    if not isinstance(found, torch.Tensor) or not found.is_floating_point():
        raise Refused(f"{name} is {_kind(found)}, not a tensor of floats", "give the layer as it was trained")
    if found.ndim != len(shape) or any(s is not None and s != d for s, d in zip(shape, found.shape, strict=True)):
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise Refused(f"{name} has shape {list(found.shape)}, not [{expected}]", "give the layer as it was trained")
    if bool(found.isnan().any()):
        raise Refused(f"{name} holds NaN", NOT_TRAINED)
    return found.detach().cpu()


def wires(found: Any, name: str, inputs: Any) -> torch.Tensor:
    """Numbers of inputs as int64 on the CPU, each in 0..inputs-1."""
    if not isinstance(found, torch.Tensor) or found.is_floating_point() or found.dtype == torch.bool:
        raise Refused(f"{name} is {_kind(found)}, not a tensor of integers", "give the layer as it was trained")
    indices = found.detach().cpu().to(torch.int64)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < int(inputs):
        what = f"{name} reads inputs {int(indices.min())} to {int(indices.max())}, where there are {int(inputs)}"
        raise Refused(what, "give the layer as it was trained")
    return indices


def lut(indices: torch.Tensor, tables: torch.Tensor) -> Lut:
    """Gates whose first input is the lowest bit of the address.

    Args:
        indices: int64 [m, k].
        tables: bool [m, 2**k].
    """
    rank = indices.shape[1]
    if not 1 <= rank <= WIDEST:
        raise Refused(f"has gates of {rank} inputs", f"train it with gates of 1 to {WIDEST} inputs")
    if list(tables.shape) != [len(indices), 1 << rank]:
        what = f"has tables of shape {list(tables.shape)} for {len(indices)} gates of {rank} inputs"
        raise Refused(what, "give the layer as it was trained")
    return Lut(indices.contiguous(), tables.bool().contiguous())


def highest_first(indices: torch.Tensor, tables: torch.Tensor) -> Lut:
    """Gates whose first input is the *highest* bit of the address, as in difflogic and torchlogix.

    Args:
        indices: int64 [k, m].
        tables: bool [m, 2**k].
    """
    return lut(indices.flip(0).T, tables)


def raw(weight: torch.Tensor) -> torch.Tensor:
    """Tables of the most probable of the 16 gates, the first one if several are.

    Gate ``g`` has the value of bit ``3 - (2 * a + b)`` of ``g`` at ``(a, b)``.

    Args:
        weight: float [..., 16].

    Returns:
        bool [..., 4], at address ``2 * a + b``.
    """
    return (weight.argmax(-1, keepdim=True) >> torch.arange(3, -1, -1) & 1).bool()


def _kind(found: Any) -> str:
    return str(found.dtype) if isinstance(found, torch.Tensor) else type(found).__name__
