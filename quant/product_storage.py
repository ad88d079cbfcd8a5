"""How the products of attention, queries by keys, are stored: data of a Scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgegate.errors import CompileError
from edgegate.quant.formats import format_named

ROTARIES = ("none", "half", "interleaved")


@dataclass(frozen=True, kw_only=True)
class ProductStorage:
    """Queries and keys in blocks along the channels of a head, and how their channels were changed for that.

    The change is one of the weights that make both, and leaves the product what it was
    (:func:`edgegate.quant.kvsort.apply_products`).

    Attributes:
        keys: Name of the keys' format (:mod:`edgegate.quant.formats`).
        queries: Of the queries'; None: they are as they were.
        rotary: Which channels a rotary embedding pairs afterwards: "none", "half" or "interleaved".
        order: The former channel of each, head of keys by head of keys; empty: all stay where they are.
        scale: What each channel of the keys is multiplied with, in the new order, and the queries' is divided by;
            empty: ones.

    Raises:
        ValueError: No format has that name, or an attribute is impossible.
    """

    keys: str
    queries: str | None
    rotary: str = "none"
    order: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.keys, self.queries):
            if name is not None:
                format_named(name)
        for field in ("order", "scale"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.rotary not in ROTARIES:
            raise ValueError(f"rotary must be one of {', '.join(ROTARIES)}, got {self.rotary!r}")
        if not all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in self.order):
            raise ValueError("order must hold channels")
        if not all(isinstance(s, float) and math.isfinite(s) and s > 0 for s in self.scale):
            raise ValueError("scale must hold positive finite numbers")
        if self.order and self.scale and len(self.order) != len(self.scale):
            raise ValueError(f"order is for {len(self.order)} channels, scale for {len(self.scale)}")


def product_formats(text: str) -> ProductStorage | None:
    """The formats of "KEYS:QUERIES", "KEYS:none", or one name for both; None for "none". ValueError for others."""
    if text == "none":
        return None
    keys, both, queries = text.partition(":")
    return ProductStorage(keys=keys, queries=None if queries == "none" else queries if both else keys)


def no_integers(place: str) -> CompileError:
    """Says that there is no integer form."""
    what = "products of queries and keys in blocks have no integer form"
    return CompileError(place, what, "leave keys at none, or quantize with the form qdq")
