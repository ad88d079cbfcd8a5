"""Closed-form block transforms: identity, Hadamard, WUSH-diag and WUSH.

WUSH is the construction of arXiv 2512.00956 (v3), equations 2 to 9 and Algorithm 1, in float64. With the
second moments of weights and activations, each damped by ``damping * tr(M) / d * I``, their lower Cholesky factors W'
and X', and ``U S V^T = svd(W'^T X')``::

    T_X = H S^(-1/2) U^T W'^T,    T_W = H S^(-1/2) V^T X'^T = T_X^(-T),    H orthogonal, of +-d^(-1/2)

so that ``T_X M_X T_X^T = T_W M_W T_W^T = H S H^T``: every coordinate of both sides has the mean square tr(S) / d.
The factors are d x d, so that fewer outputs than d do as well. Beyond the paper, moments of few vectors are shrunk
toward their diagonal first, so that what the sample does not show is not fitted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgegate.graph import Array
from edgegate.quant.moments import Moments, identity_moments
from edgegate.quant.transforms.hadamard import hadamard
from edgegate.quant.transforms.transform import Kind, Transform

DAMPING = 1e-2


def build(kind: Kind, m_x: Moments, m_w: Moments, *, damping: float = DAMPING) -> Transform:
    """The transform of a layer, not rounded.

    Args:
        kind: "identity"; "hadamard": T_X of +1 and -1, T_W = T_X / d; "wush_diag": WUSH of the moments' diagonals,
            ``T_X = H diag((m_w / m_x)^(1/4))``; "wush".
        m_x: Moments of the input.
        m_w: Moments of the weights, of all layers that read this input.
        damping: Part of the mean of a block's diagonal that is added to it. It bounds the condition of T_X by
            ``(1 + d / damping)^(1/2)`` and keeps dead channels finite, in the weights as in the activations. A block
            of zeros counts as white.

    Raises:
        ValueError: The moments differ in shape; the damping is not positive where a block needs it; no Hadamard
            matrix has the block's order.
    """
    if m_x.blocks.shape != m_w.blocks.shape or m_x.channels != m_w.channels:
        raise ValueError(
            f"moments of {m_x.channels} channels {list(m_x.blocks.shape)} and {m_w.channels} channels "
            f"{list(m_w.blocks.shape)} differ; take both along the same input, with the same block"
        )
    if not 0 <= damping < np.inf:
        raise ValueError(f"damping must be a finite number, 0 or more, not {damping}")
    count, order = m_x.blocks.shape[:2]
    if kind == "identity":
        eye = np.broadcast_to(np.eye(order), m_x.blocks.shape)
        return Transform(kind=kind, matrices=eye, weights_side=eye, channels=m_x.channels, bits=2)
    if kind == "hadamard":
        return _diagonal(kind, np.ones((count, order)), m_x.channels)
    if kind == "wush_diag":
        means_x, means_w = (np.diagonal(regular(m, damping), axis1=1, axis2=2) for m in (m_x, m_w))
        if min(means_x.min(), means_w.min()) <= 0:
            raise ValueError("a dead channel needs a positive damping")
        return _diagonal(kind, (means_w / means_x) ** 0.25 * order**-0.5, m_x.channels)
    if kind == "wush":
        return _wush(m_x, m_w, damping)
    raise ValueError(f"there is no transform {kind!r}; choose identity, hadamard, wush_diag or wush")


def fixed(kind: Kind, channels: int, block: int) -> Transform:
    """A transform that needs no moments: "identity" or "hadamard". ValueError for another kind."""
    if kind not in ("identity", "hadamard"):
        raise ValueError(f"{kind} needs moments of the input and the weights")
    white = identity_moments(channels, block)
    return build(kind, white, white)


def regular(moments: Moments, damping: float) -> Array:
    """The blocks that the transforms are built of, float64 [n, d, d]: positive definite if the damping is positive.

    Sampled moments are shrunk first, see :func:`_shrunk`; then every block is ``M + damping * tr(M) / d * I``, and I
    where it is zero.
    """
    blocks, order = _shrunk(moments), moments.block
    means = np.trace(blocks, axis1=1, axis2=2) / order
    return blocks + np.where(means > 0, damping * means, 1.0)[:, None, None] * np.eye(order)


def _shrunk(moments: Moments) -> Array:
    """Correlations that the sample does not support, taken out of its moments.

    Of n vectors, two independent channels have squared sample correlations of 1 / n in the mean. What that is of
    the block's mean squared correlation is the part of it that goes, as by J. Schaefer and K. Strimmer (Stat. Appl.
    Genet. Mol. Biol. 4, 2005) for the target of uncorrelated channels. The diagonal stays. Weights are no sample.
    """
    blocks = moments.blocks
    if moments.source not in ("calibration", "synthetic") or not moments.count or moments.block == 1:
        return blocks
    deviations = np.sqrt(moments.diagonal)
    inverse = np.divide(1.0, deviations, where=deviations > 0, out=np.zeros_like(deviations))
    squares = np.square(blocks * inverse[:, :, None] * inverse[:, None, :])
    live = (deviations > 0).sum(axis=1)
    pairs = live * (live - 1)
    found = squares.sum(axis=(1, 2)) - live
    noise = np.divide(pairs / moments.count, found, where=found > pairs / moments.count, out=np.ones_like(found))
    kept = 1 - noise
    diagonals = moments.diagonal[:, :, None] * np.eye(moments.block)
    return diagonals + kept[:, None, None] * (blocks - diagonals)


def rho(m_x: Moments, m_w: Moments) -> float:
    """What WUSH leaves of Hadamard's loss, as the theory predicts: within [1/d, 1].

    ``sum (tr S)^2 / d / sum tr S^2`` over the blocks, S the singular values of ``W'^T X'`` of moments that are
    shrunk where sampled, see :func:`_shrunk`, and not damped (arXiv 2512.00956, section 4). 1 where there is nothing
    to quantize.
    """
    if m_x.blocks.shape != m_w.blocks.shape:
        raise ValueError(f"moments {list(m_x.blocks.shape)} and {list(m_w.blocks.shape)} differ in shape")
    values = np.linalg.svd(_root(_shrunk(m_w)).transpose(0, 2, 1) @ _root(_shrunk(m_x)), compute_uv=False)
    orthogonal = np.square(values).sum()
    return float(np.square(values.sum(axis=1)).sum() / m_x.block / orthogonal) if orthogonal > 0 else 1.0


def _root(blocks: Array) -> Array:
    """R with ``R R^T = M``, of any rank."""
    values, vectors = np.linalg.eigh(blocks)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]


def _diagonal(kind: Kind, diagonal: Array, channels: int) -> Transform:
    order = diagonal.shape[1]
    signs = hadamard(order).astype(np.float64)
    return Transform(
        kind=kind, matrices=signs * diagonal[:, None, :], weights_side=signs / (order * diagonal[:, None, :]),
        diagonal=diagonal, channels=channels, bits=2 if kind == "hadamard" else None,
    )  # fmt: skip


def _wush(m_x: Moments, m_w: Moments, damping: float) -> Transform:
    """Of moments brought to a mean of 1, so that none is too small for the factors; the scale returns at the end."""
    (white_x, scale_x), (white_w, scale_w) = (_normalised(m) for m in (m_x, m_w))
    try:
        root_x, root_w = (np.linalg.cholesky(regular(white, damping)) for white in (white_x, white_w))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"damping {damping} leaves a block of the moments singular; {DAMPING} is usual") from error
    left, values, right = np.linalg.svd(root_w.transpose(0, 2, 1) @ root_x)
    mixed = hadamard(m_x.block) / np.sqrt(m_x.block) / np.sqrt(values)[:, None, :]
    scale = ((scale_w / scale_x) ** 0.25)[:, None, None]
    return Transform(
        kind="wush", channels=m_x.channels,
        matrices=mixed @ left.transpose(0, 2, 1) @ root_w.transpose(0, 2, 1) * scale,
        weights_side=mixed @ right @ root_x.transpose(0, 2, 1) / scale,
    )  # fmt: skip


def _normalised(moments: Moments) -> tuple[Moments, Array]:
    means = np.trace(moments.blocks, axis1=1, axis2=2) / moments.block
    scales = np.where(means > 0, means, 1.0)
    return replace(moments, blocks=moments.blocks / scales[:, None, None]), scales
