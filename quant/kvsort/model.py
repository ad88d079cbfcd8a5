"""Queries and keys to choose by: seen in calibration, or drawn from a model of them."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array, attribute, shape
from edgegate.quant.kvsort.choose import Vectors
from edgegate.quant.kvsort.rewrite import projections
from edgegate.quant.kvsort.sites import Side, Site


def seen(site: Site, q: Array, k: Array) -> Vectors:
    """The vectors of a site from the values that its node reads.

    Args:
        site: From ``attention_sites``.
        q: The first operand.
        k: The second.

    Returns:
        Queries [count, heads, size] and keys [count, kv_heads, size].

    Raises:
        ValueError: The operands do not have their shapes.
    """
    return heads_of(site, 0, q), heads_of(site, 1, k)


def heads_of(site: Site, index: int, values: Array) -> Array:
    """The vectors [count, heads, size] of one operand of the site's node, 0: queries, 1: keys; copies left out.

    ValueError where the operand has another shape.
    """
    node, layout = site.node, site.layout
    operands = [shape(v) for v in node.inputs[:2] if v is not None]
    if values.shape != operands[index]:
        raise ValueError(f"an array {values.shape} is no heads of {layout} as {operands[index]}")
    heads = (layout.heads, layout.kv_heads)[index]
    if node.op_type == "Attention" and values.ndim == 3:
        return values.reshape(-1, heads, layout.size)
    if index and node.op_type == "MatMul":
        values = values.swapaxes(-1, -2)
    batch = max(1, int(np.prod(operands[0][:-2])) // layout.heads)
    rows = values.reshape(batch, -1, *values.shape[-2:])
    rows = rows[:, :: rows.shape[1] // heads]
    return rows.swapaxes(1, 2).reshape(-1, heads, layout.size)


def drawn(site: Site, moments: Array, *, mean: Array | None = None, count: int = 256, seed: int = 0) -> Vectors:
    """Vectors of Gaussian inputs, pushed through the site's own weights, norms and rotations.

    Args:
        site: From ``attention_sites``.
        moments: E[x x^T] of the layers' input less its mean, [K, K], or the diagonal of that [K].
        mean: Of the input, [K]; None: zeros.
        count: How many of each.
        seed: Of the draw; the same seed gives the same vectors.

    Raises:
        ValueError: ``moments`` is not of the layers' input.
    """
    weights = projections(site)
    channels = len(weights.q)
    if moments.shape[0] != channels or len(weights.k) != channels:
        raise ValueError(f"moments must be of {channels} channels, got {moments.shape}")
    rng = np.random.default_rng(seed)
    root = np.sqrt(moments) if moments.ndim == 1 else _root(moments)
    found = []
    for name, side in (("q", site.q), ("k", site.k)):
        noise = rng.standard_normal((count, channels))
        x = (noise * root if root.ndim == 1 else noise @ root) + (0.0 if mean is None else mean)
        y = (x @ getattr(weights, name) + getattr(weights, f"{name}_bias")).reshape(count, -1, site.layout.size)
        found.append(_turned(site, side, _normed(side, y, getattr(weights, f"{name}_gain")), rng))
    return found[0], found[1]


def _root(moments: Array) -> Array:
    """A with A^T A = moments."""
    values, vectors = np.linalg.eigh(moments)
    return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def _normed(side: Side, y: Array, gain: Array | None) -> Array:
    if side.gain is None or gain is None:
        return y
    scaled = side.gain.inputs[0]
    norm = None if scaled is None else scaled.producer()
    assert norm is not None, "a gain is that of a norm"
    y = y - y.mean(axis=-1, keepdims=True) if attribute(norm, "centre") else y
    return np.asarray(y / np.sqrt((y**2).mean(axis=-1, keepdims=True) + np.finfo(np.float64).tiny) * gain)


def _turned(site: Site, side: Side, y: Array, rng: np.random.Generator) -> Array:
    """Each vector at a position of its own."""
    if side.cos is None or side.sin is None:
        return y
    partner, pairs = np.empty(site.layout.size, np.int64), site.layout.pairs
    partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    at = rng.integers(0, len(side.cos), len(y))
    return np.asarray(y * side.cos[at][:, None] + y[..., partner] * side.sin[at][:, None])
