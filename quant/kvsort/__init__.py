"""K-sort: the channels of keys in an order, and with a scale, that blocks of them are stored well in."""

from edgegate.quant.kvsort.choose import Sorting, choose, logit_errors
from edgegate.quant.kvsort.heads import (
    Heads,
    Projections,
    interleaved,
    pair_scale,
    permuted,
    rescaled,
    rotated,
    sorted_order,
    spread,
)

__all__ = [
    "Heads",
    "Projections",
    "Sorting",
    "choose",
    "interleaved",
    "logit_errors",
    "pair_scale",
    "permuted",
    "rescaled",
    "rotated",
    "sorted_order",
    "spread",
]
