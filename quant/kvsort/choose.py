"""Whether scaling and sorting the channels of keys pays, for each head of keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat
from edgegate.quant.kvsort.heads import Heads, interleaved, pair_scale, sorted_order

GAIN = 0.99
"""A change must bring the error of the logits below this part of what it was: less is chance."""
Vectors = tuple[Array, Array]
"""Queries [count, heads, size] and keys [count, kv_heads, size], as attention multiplies them."""


@dataclass(frozen=True, kw_only=True)
class Sorting:
    """What is done to the channels of queries and keys; nothing where it does not pay.

    Attributes:
        layout: Of the heads afterwards.
        order: [kv_heads, size] the former channel of each.
        scale: [kv_heads, size] what keys are multiplied with and queries divided by, in the new order.
        kinds: For each group of heads "none", "scale", "sort" or "scale+sort".
        ratios: For each group the error of its held-out logits over what it was without.
    """

    layout: Heads
    order: Array
    scale: Array
    kinds: tuple[str, ...]
    ratios: tuple[float, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether all stays as it is."""
        in_place = (self.order == np.arange(self.layout.size)).all()
        return bool(in_place and (self.scale == 1).all())


def logit_errors(vectors: Vectors, layout: Heads, q_format: BlockFormat | None, k_format: BlockFormat | None) -> Array:
    """[kv_heads] the mean squared error of ``q^T k`` when both are stored in blocks; None: exact.

    Every query of the group meets every key.
    """
    q, k = vectors
    stored_q = q if q_format is None else q_format.quantize(q).values()
    stored_k = k if k_format is None else k_format.quantize(k).values()
    errors = []
    for group in range(layout.kv_heads):
        mine = slice(group * layout.heads // layout.kv_heads, (group + 1) * layout.heads // layout.kv_heads)
        flat = [part[:, mine].reshape(-1, layout.size) for part in (q, stored_q)]
        off = flat[1] @ stored_k[:, group].T - flat[0] @ k[:, group].T
        errors.append(float((off**2).mean()))
    return np.array(errors)


def logit_energies(vectors: Vectors, layout: Heads) -> Array:
    """[kv_heads] the mean of ``(q^T k)^2``, every query of the group with every key."""
    q, k = (part.astype(np.float64) for part in vectors)
    of_queries = np.einsum("cgrs,cgrt->gst", *[q.reshape(len(q), layout.kv_heads, -1, layout.size)] * 2, optimize=True)
    of_keys = np.einsum("cgs,cgt->gst", k, k, optimize=True)
    count = len(q) * layout.heads // layout.kv_heads * len(k)
    return np.asarray((of_queries * of_keys).sum(axis=(1, 2)) / count)


def choose(
    fit: Vectors,
    held_out: Vectors,
    layout: Heads,
    q_format: BlockFormat | None,
    k_format: BlockFormat | None,
    *,
    shared: bool = False,
) -> Sorting:
    """The scale and order of each head of keys that lower the error of the logits most.

    Moments of ``fit`` make the candidates, errors on ``held_out`` decide. Pairs half a head apart are brought side
    by side, for all heads at once, where that is better for some and worse for none.

    Args:
        fit: Vectors behind the rotary embedding.
        held_out: Others of the kind.
        layout: Of their heads now.
        q_format: How queries are stored; None: not in blocks.
        k_format: How keys are stored.
        shared: All groups get one order and one scale, if that is better for some and worse for none.

    Raises:
        ValueError: The vectors do not fit the layout, or are not finite.
    """
    _check(fit, layout)
    _check(held_out, layout)
    before = logit_errors(held_out, layout, q_format, k_format)
    formats = (q_format, k_format)
    kept = _best(fit, held_out, layout, formats, before, shared)
    if layout.rotary != "half":
        return kept
    order = interleaved(layout)
    turned = replace(layout, rotary="interleaved")
    beside = _best(_taken(fit, order), _taken(held_out, order), turned, formats, before, shared)
    pays = all(ratio <= 1 for ratio in beside.ratios) and sum(beside.ratios * before) < GAIN * sum(kept.ratios * before)
    return replace(beside, order=order[beside.order]) if pays else kept


def _best(
    fit: Vectors,
    held_out: Vectors,
    layout: Heads,
    formats: tuple[BlockFormat | None, BlockFormat | None],
    before: Array,
    shared: bool,
) -> Sorting:
    """The best for each group in this layout."""
    candidates = list(_candidates(fit, layout, shared))
    found = errors = np.array(
        [logit_errors(_changed(held_out, layout, order, scale), layout, *formats) for _, order, scale in candidates]
    )
    pays = errors < GAIN * np.where(before > 0, before, errors[0])
    if shared:
        pays[:] = (errors <= before).all(axis=1, keepdims=True) & pays.any(axis=1, keepdims=True)
        errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
    pays[0] = True
    allowed = np.where(pays, errors, np.inf)
    chosen = (allowed <= allowed.min(axis=0) / GAIN).argmax(axis=0)  # the first of like ones: it does the least
    groups = np.arange(layout.kv_heads)
    ratio = np.divide(found[chosen, groups], before, out=np.ones_like(before), where=before > 0)
    return Sorting(
        layout=layout,
        order=np.stack([candidates[c][1][g] for g, c in enumerate(chosen)]),
        scale=np.stack([candidates[c][2][g] for g, c in enumerate(chosen)]),
        kinds=tuple(candidates[c][0] for c in chosen),
        ratios=tuple(float(r) for r in ratio),
    )


def _candidates(fit: Vectors, layout: Heads, shared: bool) -> Iterator[tuple[str, Array, Array]]:
    """Kind, order [kv_heads, size], scale [kv_heads, size] in that order; the first does nothing."""
    q, k = ((part.astype(np.float64) ** 2).mean(axis=0) for part in fit)
    if shared:
        q, k = (np.broadcast_to(part.mean(axis=0), part.shape) for part in (q, k))
    stay = np.broadcast_to(np.arange(layout.size), k.shape)
    scale, ones = pair_scale(q, k, layout), np.ones(k.shape)
    yield "none", stay, ones
    yield "scale", stay, scale
    order = sorted_order(k, layout)
    yield "sort", order, ones
    order = sorted_order(k * scale**2, layout)
    yield "scale+sort", order, np.take_along_axis(scale, order, 1)


def _changed(vectors: Vectors, layout: Heads, order: Array, scale: Array) -> Vectors:
    q, k = vectors
    places = layout.of_heads(order)[None]
    return (
        np.take_along_axis(q, np.broadcast_to(places, q.shape), 2) / layout.of_heads(scale),
        np.take_along_axis(k, np.broadcast_to(order[None], k.shape), 2) * scale,
    )


def _taken(vectors: Vectors, order: Array) -> Vectors:
    return vectors[0][..., order], vectors[1][..., order]


def _check(vectors: Vectors, layout: Heads) -> None:
    wanted = ((layout.heads, layout.size), (layout.kv_heads, layout.size))
    for name, part, dims in zip(("queries", "keys"), vectors, wanted, strict=True):
        if part.ndim != 3 or part.shape[1:] != dims or not len(part) or not np.isfinite(part).all():
            raise ValueError(f"{name} must be finite, [count, {dims[0]}, {dims[1]}], got {part.shape}")
