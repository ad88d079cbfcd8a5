"""torch_dwn: weightless neural networks, look-up tables with the first input as the lowest bit of the address.

``luts`` float [out, 2**n], an entry is 1 where it is above 0; ``mapping`` int [out, n], or with learned wiring
``mapping.weights`` float [in, out * n], the highest of each column.
"""

from __future__ import annotations

from typing import Any

import torch

from edgegate.frontend.logic._binarization import Binarize, Sign, thresholds
from edgegate.frontend.logic._layer import Reader, Refused, Wiring, attribute, lut, weights, wires
from edgegate.frontend.logic._sums import group_sum

_WHOLE = "give the layer as torch_dwn makes it"


def _layer(layer: Any) -> torch.nn.Module:
    if not getattr(layer, "ste", True):
        raise Refused("gives the trained numbers, not bits (ste=False)", "train it with ste=True")
    luts = weights(attribute(layer, "luts", _WHOLE), "luts", None, None)
    inputs = attribute(layer, "input_size", _WHOLE)
    mapping = attribute(layer, "mapping", _WHOLE)
    if not isinstance(mapping, torch.Tensor):
        mapping = _learned(mapping, layer, len(luts))
    indices = wires(mapping, "mapping", inputs)
    if indices.ndim != 2:
        raise Refused(f"has a mapping of shape {list(indices.shape)}, not [out, n]", _WHOLE)
    return lut(indices, luts > 0)


def _learned(mapping: Any, layer: Any, outputs: int) -> torch.Tensor:
    chosen = weights(attribute(mapping, "weights", _WHOLE), "mapping.weights", None, None).argmax(0)
    order = getattr(layer, "_LUTLayer__dummy_mapping", None)
    if order is None:
        order = torch.arange(len(chosen)).reshape(outputs, -1)
    return chosen[wires(order, "_LUTLayer__dummy_mapping", len(chosen))]


def _thermometer(thermometer: Any) -> torch.nn.Module:
    fix = "fit it (thermometer.fit(x)) before compiling"
    return Binarize(*thresholds(attribute(thermometer, "thresholds", fix), channels=False))


def _shuffled(layer: Any) -> list[torch.Tensor]:
    order = getattr(layer, "randperm", None)
    return [] if order is None else [order]


def _sign(_: Any) -> torch.nn.Module:
    return Sign()


READERS: dict[str, Reader] = {
    "LUTLayer": _layer,
    "GroupSum": group_sum,
    "STE": _sign,
    "Thermometer": _thermometer,
}
WIRINGS: dict[str, Wiring] = {"GroupSum": _shuffled}
