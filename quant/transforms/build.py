"""Closed-form block transforms: identity, Hadamard, WUSH-diag and WUSH.

WUSH is the construction of arXiv 2512.00956 (v3), equations 2 to 9 and Algorithm 1, in float64. With the damped
second moments ``M + damping * tr(M) / d * I`` of weights and activations, their lower Cholesky factors W' and X',
and ``U S V^T = svd(W'^T X')``::

    T_X = H S^(-1/2) U^T W'^T,    T_W = H S^(-1/2) V^T X'^T = T_X^(-T),    H orthogonal, of +-d^(-1/2)

so that ``T_X M_X T_X^T = T_W M_W T_W^T = H S H^T``: every coordinate of both sides has the mean square tr(S) / d.
The factors are d x d, so that fewer outputs than d do as well.
"""

from __future__ import annotations

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
        means_x, means_w = (np.diagonal(damped(m.blocks, damping), axis1=1, axis2=2) for m in (m_x, m_w))
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


def damped(blocks: Array, damping: float) -> Array:
    """``M + damping * tr(M) / d * I`` for every block of [n, d, d]; I for a block of zeros."""
    order = blocks.shape[1]
    means = np.trace(blocks, axis1=1, axis2=2) / order
    return blocks + np.where(means > 0, damping * means, 1.0)[:, None, None] * np.eye(order)


def rho(m_x: Moments, m_w: Moments) -> float:
    """What WUSH leaves of Hadamard's loss, as the theory predicts: within [1/d, 1].

    ``sum (tr S)^2 / d / sum tr S^2`` over the blocks, S the singular values of ``W'^T X'``, not damped
    (arXiv 2512.00956, section 4). 1 where there is nothing to quantize.
    """
    if m_x.blocks.shape != m_w.blocks.shape:
        raise ValueError(f"moments {list(m_x.blocks.shape)} and {list(m_w.blocks.shape)} differ in shape")
    values = np.linalg.svd(_root(m_w.blocks).transpose(0, 2, 1) @ _root(m_x.blocks), compute_uv=False)
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
    (white_x, scale_x), (white_w, scale_w) = (_normalised(m.blocks) for m in (m_x, m_w))
    try:
        root_x, root_w = (np.linalg.cholesky(damped(white, damping)) for white in (white_x, white_w))
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


def _normalised(blocks: Array) -> tuple[Array, Array]:
    means = np.trace(blocks, axis1=1, axis2=2) / blocks.shape[1]
    scales = np.where(means > 0, means, 1.0)
    return blocks / scales[:, None, None], scales
