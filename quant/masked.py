"""Weights that are parts of one matrix, by several masks: stored alike, so that they still are once they are integers.

One pair of halves needs no common scale, because their integers have no place in common either way. Of several pairs
(the mixture of "Masked Gated Linear Unit", arXiv 2506.23225, section 3) each weight stands in one half of every pair,
and must be the same integer in all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgegate.passes._masks import complements
from edgegate.quant.weights import Layer


def families(found: Sequence[Layer]) -> list[list[Layer]]:
    """Layers of one value whose weights are, pair by pair, the halves of one matrix by different masks."""
    sources: dict[tuple[object, ...], list[Layer]] = {}
    for layer in found:
        if layer.node.op_type in ("Linear", "MatMul") and layer.data().ndim == 2:
            sources.setdefault((layer.source, layer.data().shape), []).append(layer)
    return [family for layers in sources.values() if len(layers) > 3 for family in _families(layers)]


def _families(layers: Sequence[Layer]) -> list[list[Layer]]:
    known: list[tuple[np.ndarray, list[Layer]]] = []
    for i, j in complements([layer.data() for layer in layers]):
        whole, pair = layers[i].data() + layers[j].data(), [layers[i], layers[j]]
        family = next((members for matrix, members in known if np.array_equal(matrix, whole)), None)
        if family is None:
            known.append((whole, pair))
        else:
            family += pair
    return [members for _, members in known if len(members) > 2]
