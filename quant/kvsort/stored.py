"""The permutation and scale of a site as data of a Scheme, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, where
from edgegate.quant.kvsort.choose import Sorting
from edgegate.quant.kvsort.heads import Heads, Rotary
from edgegate.quant.kvsort.rewrite import apply_ksort
from edgegate.quant.kvsort.sites import Site, attention_sites
from edgegate.quant.product_storage import ProductStorage

AGAIN = "it is of another model, or was edited: quantize this one again"


def stored(storage: ProductStorage, sorting: Sorting) -> ProductStorage:
    """``storage`` with what is done to the channels."""
    moved = (sorting.order != np.arange(sorting.layout.size)).any()
    scaled = (sorting.scale != 1).any()
    return replace(
        storage,
        rotary=sorting.layout.rotary,
        order=tuple(sorting.order.ravel().tolist()) if moved else (),
        scale=tuple(sorting.scale.ravel().tolist()) if scaled else (),
    )


def apply_products(model: ir.Model, products: Mapping[str, ProductStorage]) -> None:
    """Scale and permute the channels of queries and keys as a Scheme says: every logit stays what it was.

    Args:
        model: Float, normalised, before its transforms.
        products: Of a Scheme.

    Raises:
        CompileError: An entry is not one for this model.
    """
    changed = {name: storage for name, storage in products.items() if storage.order or storage.scale}
    found: dict[str, Site] = {}
    touched: set[ir.Node] = set()
    for name, storage in changed.items():
        site = found.get(name)
        if site is None or touched & {site.q.layer, site.k.layer}:
            found = {str(s.node.outputs[0].name): s for s in attention_sites(model)[0]}
        if name not in found:
            raise CompileError(f"product {name} of the scheme", "no queries and keys of the model make it", AGAIN)
        site = found[name]
        apply_ksort(model, site, _sorting(site, storage))
        touched |= {site.q.layer, site.k.layer}


def _sorting(site: Site, storage: ProductStorage) -> Sorting:
    """What the storage says for this site; CompileError if it says nothing that would leave its logits alone."""
    layout = site.layout
    channels = layout.kv_heads * layout.size
    if {len(storage.order), len(storage.scale)} - {0, channels}:
        raise _misfit(site, f"its order or scale is not for {layout.kv_heads} heads of {layout.size} channels")
    dims = (layout.kv_heads, layout.size)
    order = np.array(storage.order or np.tile(np.arange(layout.size), layout.kv_heads)).reshape(dims)
    scale = np.array(storage.scale or np.ones(channels)).reshape(dims)
    after = _after(site, storage)
    if (np.sort(order) != np.arange(layout.size)).any():
        raise _misfit(site, "its order is no permutation of the channels of each head")
    if (_pairs(order[:, after.pairs]) != _pairs(np.broadcast_to(layout.pairs, (dims[0], *layout.pairs.shape)))).any():
        raise _misfit(site, "its order tears pairs of the rotary embedding apart")
    if np.ptp(scale[:, after.pairs], axis=-1).any():
        raise _misfit(site, "its scale differs within a pair of the rotary embedding")
    if site.shared and ((order != order[:1]).any() or (scale != scale[:1]).any()):
        raise _misfit(site, "its heads share the gain of a norm, but not their order and scale")
    return Sorting(layout=after, order=order, scale=scale, kinds=(), ratios=())


def _after(site: Site, storage: ProductStorage) -> Heads:
    """The layout of the heads afterwards."""
    same = storage.rotary == site.layout.rotary
    if not same and (storage.rotary, site.layout.rotary) != ("interleaved", "half"):
        raise _misfit(site, f"its rotary embedding is {site.layout.rotary}, not {storage.rotary}")
    return replace(site.layout, rotary=cast(Rotary, storage.rotary))


def _pairs(channels: Array) -> Array:
    """[groups, n, members] pairs in the order of their first members."""
    places = np.argsort(channels[..., 0], axis=1)
    return np.asarray(np.take_along_axis(channels, places[..., None], 1))


def _misfit(site: Site, what: str) -> CompileError:
    return CompileError(f"{where(site.node)}, product {site.node.outputs[0].name} of the scheme", what, AGAIN)
