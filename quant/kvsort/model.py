"""Queries and keys to choose by: seen in calibration, or drawn from a model of them."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array
from edgegate.quant.kvsort.choose import Vectors
from edgegate.quant.kvsort.rewrite import projections
from edgegate.quant.kvsort.sites import Side, Site


def seen(site: Site, q: Array, k: Array) -> Vectors:
    """The vectors of a site from the values that its node reads.

    Args:
        site: A MatMul of heads [batch, heads, length, size] and [batch, heads, size, length], or an Attention.
        q: The first operand.
        k: The second.

    Returns:
        Queries [count, heads, size] and keys [count, kv_heads, size].

    Raises:
        ValueError: The operands do not have that shape.
    """
    layout = site.layout
    if site.node.op_type == "Attention" and q.ndim == 3:
        return q.reshape(-1, layout.heads, layout.size), k.reshape(-1, layout.kv_heads, layout.size)
    keys = k if site.node.op_type == "Attention" else k.swapaxes(-1, -2)
    fits = q.ndim == keys.ndim == 4 and q.shape[1] == layout.heads and keys.shape[1] % layout.kv_heads == 0
    if not fits or q.shape[3] != layout.size or keys.shape[3] != layout.size:
        raise ValueError(f"q {q.shape} and k {k.shape} are no heads of {layout}")
    of_groups = keys[:, :: keys.shape[1] // layout.kv_heads]
    return tuple(part.swapaxes(1, 2).reshape(-1, part.shape[1], layout.size) for part in (q, of_groups))  # type: ignore[return-value]


def drawn(site: Site, moments: Array, *, count: int = 256, seed: int = 0) -> Vectors:
    """Vectors of Gaussian inputs, pushed through the site's own weights, norms and rotations.

    Args:
        site: From ``attention_sites``.
        moments: E[x x^T] of the layers' input, [K, K], or its diagonal [K].
        count: How many of each.
        seed: Of the draw; the same seed gives the same vectors.

    Raises:
        ValueError: ``moments`` is not of the layers' input.
    """
    weights = projections(site)
    if moments.shape[0] != len(weights.q) or len(weights.k) != len(weights.q):
        raise ValueError(f"moments must be of {len(weights.q)} channels, got {moments.shape}")
    rng = np.random.default_rng(seed)
    full = np.diag(moments) if moments.ndim == 1 else moments
    values, vectors = np.linalg.eigh(full)
    found = []
    for name, side in (("q", site.q), ("k", site.k)):
        x = rng.standard_normal((count, len(full))) * np.sqrt(np.maximum(values, 0)) @ vectors.T
        y = (x @ getattr(weights, name) + getattr(weights, f"{name}_bias")).reshape(count, -1, site.layout.size)
        found.append(_turned(site, side, _normed(side, y, getattr(weights, f"{name}_gain")), rng))
    return found[0], found[1]


def _normed(side: Side, y: Array, gain: Array | None) -> Array:
    if side.gain is None or gain is None:
        return y
    y = y - y.mean(axis=-1, keepdims=True) if side.gain.op_type == "LayerNormalization" else y
    return np.asarray(y / np.sqrt((y**2).mean(axis=-1, keepdims=True) + np.finfo(np.float64).tiny) * gain)


def _turned(site: Site, side: Side, y: Array, rng: np.random.Generator) -> Array:
    """Each vector at a position of its own."""
    if side.cos is None or side.sin is None:
        return y
    partner, pairs = np.empty(site.layout.size, np.int64), site.layout.pairs
    partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    at = rng.integers(0, len(side.cos), len(y))
    return np.asarray(y * side.cos[at][:, None] + y[..., partner] * side.sin[at][:, None])
