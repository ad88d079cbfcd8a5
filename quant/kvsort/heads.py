"""Queries and keys of attention: what may be scaled and permuted in their weights without changing a logit.

``q^T k`` stays as it is when the channels of q and k change places together, and when a channel of q is divided by
what the same channel of k is multiplied with. A rotary embedding turns pairs of channels: a pair moves as one, with
its columns of the tables, and has one scale. Query heads that share a head of keys share both.

Source: Trukhanov and Soloveychik, "Accurate Block Quantization in LLMs with Outliers", 2024, for the permutation
of the rows of W_k and W_q; the scale is the diagonal case of WUSH on ``q^T k``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgegate.graph import Array

Rotary = Literal["none", "half", "interleaved"]
"""Which channels a rotary embedding pairs: none, c with c + size / 2, or 2 c with 2 c + 1."""
_FLOOR = 1e-12
"""Moments below this part of the greatest are no moments: their channel keeps its scale."""


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The layout of queries and keys.

    Attributes:
        heads: Of queries, a multiple of kv_heads; head h reads the keys of group h // (heads // kv_heads).
        kv_heads: Of keys.
        size: Channels of a head.
        rotary: Which channels are pairs.

    Raises:
        ValueError: An attribute is impossible.
    """

    heads: int
    kv_heads: int
    size: int
    rotary: Rotary = "none"

    def __post_init__(self) -> None:
        if min(self.heads, self.kv_heads, self.size) < 1 or self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} heads of keys of size {self.size}")
        if self.rotary not in ("none", "half", "interleaved"):
            raise ValueError(f"rotary must be none, half or interleaved, got {self.rotary!r}")
        if self.rotary != "none" and self.size % 2:
            raise ValueError(f"a rotary embedding needs heads of even size, got {self.size}")

    @property
    def pairs(self) -> Array:
        """[n, 2] the channels of a head that move together, first and second member; [size, 1] without rotary."""
        channels = np.arange(self.size)
        if self.rotary == "none":
            return channels[:, None]
        return channels.reshape(2, -1).T if self.rotary == "half" else channels.reshape(-1, 2)

    def placed(self, pairs: Array) -> Array:
        """The order of channels that puts these pairs, [..., n, members], one after the other into the layout."""
        flat = np.swapaxes(pairs, -1, -2) if self.rotary == "half" else pairs
        return flat.reshape(*pairs.shape[:-2], self.size)

    def of_group(self, of_heads: Array) -> Array:
        """[heads, ...] as [kv_heads, heads / kv_heads, ...]."""
        return of_heads.reshape(self.kv_heads, -1, *of_heads.shape[1:])

    def of_heads(self, of_group: Array) -> Array:
        """[kv_heads, ...] as [heads, ...]: what each query head shares with its keys."""
        return np.repeat(of_group, self.heads // self.kv_heads, axis=0)


@dataclass(frozen=True, kw_only=True)
class Projections:
    """What makes q and k: float64.

    Attributes:
        q: Weights [K, heads * size].
        k: Weights [K, kv_heads * size].
        q_bias: [heads * size].
        k_bias: [kv_heads * size].
        q_gain: Of the norm of each query head: [size], or [heads, size]; None if there is no norm.
        k_gain: Of the norm of each key head: [size], or [kv_heads, size].
    """

    q: Array
    k: Array
    q_bias: Array
    k_bias: Array
    q_gain: Array | None = None
    k_gain: Array | None = None


def rescaled(projections: Projections, layout: Heads, scale: Array) -> Projections:
    """The projections whose keys come out times ``scale`` and whose queries come out divided by it.

    A norm takes it into its gain, because it would undo it in the weights.

    Args:
        projections: Of q and k.
        layout: Of their heads.
        scale: [kv_heads, size], positive, the same for both members of a pair.

    Raises:
        ValueError: ``scale`` is not such.
    """
    sound = scale.shape == (layout.kv_heads, layout.size) and (np.isfinite(scale) & (scale > 0)).all()
    if not sound or np.ptp(scale[:, layout.pairs], axis=-1).any():
        raise ValueError("scale must hold one positive number for each pair, [kv_heads, size]")
    changed = dict[str, Array]()
    for name, factor in (("q", 1 / layout.of_heads(scale)), ("k", scale)):
        gain = getattr(projections, f"{name}_gain")
        if gain is not None:
            changed[f"{name}_gain"] = _shared(gain * factor)
        else:
            changed[name] = getattr(projections, name) * factor.ravel()
            changed[f"{name}_bias"] = getattr(projections, f"{name}_bias") * factor.ravel()
    return replace(projections, **changed)


def permuted(projections: Projections, layout: Heads, order: Array) -> Projections:
    """The projections whose channel c is the former channel ``order[group, c]`` of its head.

    Tables of a rotary embedding, [..., size], become ``table[..., order]``.

    Args:
        projections: Of q and k.
        layout: Of their heads.
        order: [kv_heads, size], a permutation of the channels for each group.

    Raises:
        ValueError: ``order`` is not such.
    """
    if order.shape != (layout.kv_heads, layout.size) or (np.sort(order) != np.arange(layout.size)).any():
        raise ValueError("order must hold a permutation of the channels for each group, [kv_heads, size]")
    changed = dict[str, Array]()
    for name, places in (("q", layout.of_heads(order)), ("k", order)):
        columns = (places + layout.size * np.arange(len(places))[:, None]).ravel()
        changed[name] = getattr(projections, name)[:, columns]
        changed[f"{name}_bias"] = getattr(projections, f"{name}_bias")[columns]
        gain = getattr(projections, f"{name}_gain")
        if gain is not None:
            full = np.broadcast_to(gain, places.shape)
            changed[f"{name}_gain"] = _shared(np.take_along_axis(full, places, 1))
    return replace(projections, **changed)


def _shared(gain: Array) -> Array:
    """[size] where all heads have one gain."""
    return np.asarray(gain[0] if (gain == gain[:1]).all() else gain)


def pair_scale(q_moments: Array, k_moments: Array, layout: Heads) -> Array:
    """What k is multiplied with, and q divided by: ``(m_q / m_k) ** (1/4)`` per pair.

    Then a pair of q and the same pair of k have one second moment. Pairs of no moment keep theirs.

    Args:
        q_moments: E[q^2], [heads, size].
        k_moments: E[k^2], [kv_heads, size].
        layout: Of the heads.

    Returns:
        float64 [kv_heads, size].
    """
    q = layout.of_group(q_moments).mean(axis=1)[:, layout.pairs].mean(axis=-1)
    k = k_moments[:, layout.pairs].mean(axis=-1)
    live = (q > _FLOOR * q.max(initial=0.0)) & (k > _FLOOR * k.max(initial=0.0))
    scale = np.where(live, np.divide(q, k, out=np.ones_like(q), where=live), 1.0) ** 0.25
    found = np.ones((layout.kv_heads, layout.size))
    found[:, layout.pairs] = scale[..., None]
    return found


def sorted_order(energy: Array, layout: Heads) -> Array:
    """Pairs of like magnitude side by side: the loudest first (K-sort).

    Args:
        energy: E[k^2] of the keys or the squared norms of W_k's columns, [kv_heads, size].
        layout: Where the pairs shall be.

    Returns:
        [kv_heads, size] the former channel of each; pairs stay pairs, equals stay in order.
    """
    loudness = energy[:, layout.pairs].sum(axis=-1)
    ranks = np.argsort(-loudness, axis=1, kind="stable")
    return layout.placed(layout.pairs[ranks])


def interleaved(layout: Heads) -> Array:
    """[size] the order that brings the pairs of ``layout`` side by side."""
    return layout.pairs.ravel()


def spread(energy: Array, block: int) -> Array:
    """Blocks of like mass: the loudest channel left goes to the block that has the least, while it has room.

    It is for blocks that a transform mixes: outliers of one block hide each other, and of several do not. A
    permutation such as PeRQ's "massdiff".

    Args:
        energy: [K], K a multiple of ``block``.
        block: Channels of a block.

    Returns:
        [K] the former channel of each.

    Raises:
        ValueError: K is no multiple.
    """
    if energy.ndim != 1 or block < 1 or energy.size % block:
        raise ValueError(f"{energy.size} channels are no whole blocks of {block}")
    blocks: list[list[int]] = [[] for _ in range(energy.size // block)]
    mass = np.zeros(len(blocks))
    for channel in np.argsort(-energy, kind="stable").tolist():
        least = int(np.argmin(mass))
        blocks[least].append(channel)
        mass[least] = mass[least] + energy[channel] if len(blocks[least]) < block else np.inf
    return np.array(blocks, np.int64).ravel()


def rotated(x: Array, cos: Array, sin: Array, layout: Heads) -> Array:
    """A rotary embedding: each pair (a, b) becomes (a cos - b sin, a sin + b cos).

    Args:
        x: [..., size].
        cos: For each channel, broadcast to x; the same for both members of a pair.
        sin: Likewise.
        layout: Says which channels are pairs.
    """
    if layout.rotary == "none":
        return x
    first, second = layout.pairs.T
    turned = np.empty_like(x)
    turned[..., first], turned[..., second] = -x[..., second], x[..., first]
    return np.asarray(x * cos + turned * sin)
