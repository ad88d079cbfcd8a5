"""difflogic, networks trained with Gumbel noise (which have its layout), and the fork of Light DLGN.

difflogic: ``weights`` float [out, 16] over the 16 gates, ``indices`` two int64 [out]. The fork has in ``LogicLayerIWP``
``weights`` float [out, 4], one for each pair of inputs 00, 01, 10, 11 behind an activation; a gate is 1 where the
activation reaches 0.5 (arXiv 2510.03250). Its kernels for CUDA round instead, and 0.5 to even.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from edgegate.frontend.logic._layer import Reader, Refused, Wiring, attribute, highest_first, raw, weights, wires
from edgegate.frontend.logic._sums import group_sum

_LOST = (
    "difflogic keeps indices out of the state_dict and draws new ones for a new layer: compile the module itself, or "
    "set the layer's indices to those it was trained with"
)
_HALF = 0.5
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "sin": lambda w: _HALF + _HALF * torch.sin(w),
    "linear": lambda w: w.clamp(0, 1),
}
_NAMES = {"sigmoid": "sigmoid", "sigmoid-st": "sigmoid", "SIN01": "sin", "sin-st": "sin", "linear": "linear"}
"""What the fork's option ``act_fn`` says."""
_TOLERANCE = 1e-6


def _layer(layer: Any) -> torch.nn.Module:
    return highest_first(_indices(layer), raw(weights(attribute(layer, "weights", _LOST), "weights", None, 16)))


def _light_layer(layer: Any) -> torch.nn.Module:
    if getattr(layer, "run_op_on_iwp", False):
        return _layer(layer)
    weight = weights(attribute(layer, "weights", _LOST), "weights", None, 4)
    value = _ACTIVATIONS[_activation(layer)](weight)
    on_cuda = getattr(layer, "implementation", None) == "cuda"
    return highest_first(_indices(layer), value > _HALF if on_cuda else value >= _HALF)


def _indices(layer: Any) -> torch.Tensor:
    """int64 [2, out]; a tuple of two, or a tensor where the user registered a buffer."""
    parts = _wiring(layer)
    inputs = attribute(layer, "in_dim", "give the layer as difflogic makes it")
    if not parts:
        raise Refused("has no indices, the wiring between its gates", _LOST)
    sides = [wires(part, "indices", inputs) for part in parts]
    if len(sides) != 2 or any(side.shape != sides[0].shape or side.ndim != 1 for side in sides):
        shapes = [list(side.shape) for side in sides]
        raise Refused(f"has indices of shapes {shapes}, not two of one length", "give the layer as it was trained")
    return torch.stack(sides)


def _wiring(layer: Any) -> list[torch.Tensor]:
    found = getattr(layer, "indices", None)
    return [] if found is None else list(found)


def _activation(layer: Any) -> str:
    """Which of :data:`_ACTIVATIONS` the layer has: by its values, or where it is None by the option's name."""
    function, option = getattr(layer, "act_fn", None), getattr(layer, "act_fn_str", None)
    if function is None:
        function = _ACTIVATIONS.get(_NAMES.get(option, "")) if isinstance(option, str) else option
    if not callable(function):
        raise Refused(f"has no activation that is known (act_fn {option!r})", _fix())
    probes = torch.linspace(-20, 20, 2001)
    with torch.no_grad():
        try:
            found = function(probes)
        except Exception as error:  # the user's own function
            raise Refused(f"its act_fn fails ({type(error).__name__})", _fix()) from error
    if isinstance(found, torch.Tensor) and found.shape == probes.shape:
        for name, known in _ACTIVATIONS.items():
            if torch.allclose(found.to(torch.float32), known(probes), rtol=0, atol=_TOLERANCE):
                return name
    raise Refused("has an act_fn that is neither sigmoid nor 0.5 + 0.5 sin nor linear", _fix())


def _fix() -> str:
    return f"train with act_fn one of {', '.join(_NAMES)}"


READERS: dict[str, Reader] = {"LogicLayer": _layer, "LogicLayerIWP": _light_layer, "GroupSum": group_sum}
WIRINGS: dict[str, Wiring] = {"LogicLayer": _wiring, "LogicLayerIWP": _wiring}
