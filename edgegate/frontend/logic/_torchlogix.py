"""torchlogix 0.1 and 0.2: dense layers, pooling, and how tables were trained.

``weight`` float [out, 16] (raw) or [out, 2**k] (warp, light), ``connections.indices`` int64 [k, out]; with learnable
wiring ``connections.weights`` float [candidates, k, out], the highest of which says what ``connections.indices``
[candidates, k, out] gives. The first input is the highest bit of an address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from edgegate.frontend.logic import _binarization, _convolution
from edgegate.frontend.logic._layer import Reader, Refused, Wiring, attribute, highest_first, weights, wires
from edgegate.frontend.logic._parametrization import tables
from edgegate.frontend.logic._sums import group_sum

_LOST = (
    "torchlogix before 0.2 keeps indices out of the state_dict and draws new ones for a new layer: compile the module "
    "itself, or set connections.indices to those it was trained with"
)
_WHOLE = "give the layer as torchlogix makes it"


def _dense(layer: Any) -> torch.nn.Module:
    weight = weights(attribute(layer, "weight", _WHOLE), "weight", None, None)
    return highest_first(_indices(layer), tables(layer, weight))


def _indices(layer: Any) -> torch.Tensor:
    """int64 [k, out]."""
    connections = attribute(layer, "connections", _LOST)
    found = getattr(connections, "indices", None)
    if found is None:
        raise Refused("has no connections.indices, the wiring between its gates", _LOST)
    indices = wires(found, "connections.indices", attribute(layer, "in_dim", _WHOLE))
    scores = getattr(connections, "weights", None)
    if scores is not None and indices.ndim == 3:
        chosen = weights(scores, "connections.weights", *indices.shape).argmax(0, keepdim=True)
        indices = indices.gather(0, chosen)[0]
    if indices.ndim != 2:
        raise Refused(f"has connections.indices of shape {list(indices.shape)}, not [k, out]", _WHOLE)
    return indices


def _wiring(layer: Any) -> list[torch.Tensor]:
    """The indices, unless every input is a candidate of every gate: nothing is drawn then."""
    found = getattr(getattr(layer, "connections", None), "indices", None)
    if found is None:
        return []
    every = torch.arange(len(found), device=found.device).view(-1, *[1] * (found.ndim - 1))
    return [] if found.ndim == 3 and torch.equal(found, every.expand_as(found)) else [found]


def _pool(kind: Callable[..., torch.nn.Module]) -> Reader:
    """The OR of a window of bits is their maximum."""

    def read(layer: Any) -> torch.nn.Module:
        size, stride = (attribute(layer, name, _WHOLE) for name in ("kernel_size", "stride"))
        return kind(size, stride, getattr(layer, "padding", 0))

    return read


READERS: dict[str, Reader] = {
    "LogicDense": _dense,
    "LogicConv2d": _convolution.read,
    "LogicConv3d": _convolution.read,
    "LogicConvTranspose2d": _convolution.read,
    "LogicConvTranspose3d": _convolution.read,
    "OrPooling2d": _pool(torch.nn.MaxPool2d),
    "OrPooling3d": _pool(torch.nn.MaxPool3d),
    "GroupSum": group_sum,
    "FixedBinarization": _binarization.fixed,
    "SoftBinarization": _binarization.fixed,
    "LearnableBinarization": _binarization.learnable,
    "DummyBinarization": _binarization.dummy,
}
WIRINGS: dict[str, Wiring] = {
    "LogicDense": _wiring,
    **dict.fromkeys((name for name in READERS if "Conv" in name), _convolution.wiring),
}
