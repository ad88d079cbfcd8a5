"""Which layers could overflow int32 with 8-bit inputs: these take theirs in 16 bits, and sum in 48."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgegate.quant.storage import Storage, WeightStorage, half_up
from edgegate.quant.weights import Layer


def overflowing(found: list[Layer], values: Mapping[str, Storage], weights: Mapping[str, WeightStorage]) -> set[str]:
    """The sources of the layers whose int32 accumulators cannot be bounded, whatever the input holds.

    A partial sum of ``bias + sum(w * x)``, in any order, reaches at most the sum of all positive terms. The
    input is taken to hold every value of its type; the proof, which knows more of it, accepts whatever is
    accepted here.

    Args:
        found: The layers.
        values: How activations are stored.
        weights: How weights are stored.
    """
    return {
        layer.source
        for layer in found
        if values[layer.source].dtype in ("int8", "uint8")
        and _reach(layer, values[layer.source], weights) > (1 << 31) - 1
    }


def _reach(layer: Layer, source: Storage, weights: Mapping[str, WeightStorage]) -> float:
    """The largest magnitude of a partial sum of one layer. Affine sums nothing: its reach is that of its bias."""
    if layer.node.op_type == "Affine":
        return 0.0
    storage = weights[str(layer.weight.name)]
    rows = np.moveaxis(storage.quantize(layer.data()), layer.axis, 0).reshape(len(storage.scales), -1)
    bias = half_up(layer.bias_data() / (source.scale * np.array(storage.scales)))
    w = rows.astype(np.int64)
    above, below = source.high - source.zero_point, source.zero_point - source.low
    positive, negative = np.maximum(w, 0).sum(axis=1), np.maximum(-w, 0).sum(axis=1)
    most = positive * above + negative * below + np.maximum(bias, 0)
    least = positive * below + negative * above + np.maximum(-bias, 0)
    return float(max(most.max(initial=0), least.max(initial=0)))
