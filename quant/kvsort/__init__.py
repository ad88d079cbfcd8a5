"""K-sort: the channels of keys in an order, and with a scale, that blocks of them are stored well in."""

from edgegate.quant.kvsort.choose import Sorting, choose, logit_energies, logit_errors
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
from edgegate.quant.kvsort.model import drawn, heads_of, seen
from edgegate.quant.kvsort.rewrite import apply_ksort, projections
from edgegate.quant.kvsort.sites import Refusal, Side, Site, attention_sites
from edgegate.quant.kvsort.stored import apply_products, stored
from edgegate.quant.kvsort.vectors import SeenVectors

__all__ = [
    "Heads",
    "Projections",
    "Refusal",
    "SeenVectors",
    "Side",
    "Site",
    "Sorting",
    "apply_ksort",
    "apply_products",
    "attention_sites",
    "choose",
    "drawn",
    "heads_of",
    "interleaved",
    "logit_energies",
    "logit_errors",
    "pair_scale",
    "permuted",
    "projections",
    "rescaled",
    "rotated",
    "seen",
    "sorted_order",
    "spread",
    "stored",
]
