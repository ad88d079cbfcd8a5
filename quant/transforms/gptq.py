"""GPTQ in a transformed basis, the transform of every block built from the weights as they are by then.

Algorithm 2 of arXiv 2512.00956 (v3). With ``L L^T = (H + damping * tr(H) / K * I)^(-1)``, L lower, block i of d
channels has the conditional Hessian ``(L_ii L_ii^T)^(-1)`` once all later blocks may answer its error. The block is
transformed, quantized channel by channel (GPTQ, arXiv 2210.17323), and its error, brought back to the channels,
goes on to the later blocks: ``W_j += L_ji L_ii^(-1) E``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat, Blocks
from edgegate.quant.moments import Moments, block_count, weight_moments
from edgegate.quant.transforms.closed_form import DAMPING, build
from edgegate.quant.transforms.rounding import rounded
from edgegate.quant.transforms.transform import Kind, Transform


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """A layer's weights in a transformed basis, quantized.

    Attributes:
        blocks: Of the format, [N, n * d]: output channels first, blocks along the transformed input channels.
        transform: What the input has to pass through.
    """

    blocks: Blocks
    transform: Transform

    @property
    def values(self) -> Array:
        """The stored weights, float64 [n * d, N]: ``x @ W`` is about ``transform.apply_x(x) @ values``."""
        return self.blocks.values().T


def gptq(
    weights: Array, hessian: Array, form: BlockFormat, *, kind: Kind = "wush", block: int | None = None,
    damping: float = DAMPING, bits: int | Literal["pow2"] | None = None,
) -> Quantized:  # fmt: skip
    """Quantize a layer's weights so that errors of one channel are answered by later ones.

    The groups of GPTQ are the format's blocks: a group's scale is taken when its turn comes and then kept. Needs the
    whole Hessian: three matrices of K^2 float64, 24 K^2 bytes (400 MB for K = 4096), beside the weights in float64.

    Args:
        weights: [K, N].
        hessian: ``E[x x^T]``, [K, K], not centred: ``MomentsSum(K, K).result().blocks[0]``.
        form: The block format of the weights. Where it has a scale for the whole tensor (NVFP4), that is the one of
            the transformed weights before any error is answered.
        kind: The transform of every block.
        block: Its channels d, a multiple of the format's block, which is the default.
        damping: Part of the mean diagonal that is added, to the Hessian as to the moments of the transforms.
        bits: Round the transforms to integers of so many bits first, see :func:`~.rounding.rounded`.

    Raises:
        ValueError: Shapes that do not fit, values that are not finite, a block that the format's does not divide, a
            damping that is not positive, or a transform that so few bits make singular.
    """
    order = form.block if block is None else block
    _check(weights, hessian, form, order, damping)
    channels = len(weights)
    width = block_count(channels, order) * order
    current = np.zeros((width, weights.shape[1]))
    current[:channels] = weights
    whole = np.zeros((width, width))
    whole[:channels, :channels] = (hessian + hessian.T) / 2
    recipe = _Recipe(form=form, kind=kind, damping=damping, bits=bits, tensor=1.0)
    if not form.power_of_two:
        recipe = replace(recipe, tensor=_tensor_scale(recipe, current, whole, order))
    root = _inverse_root(whole, damping * np.trace(whole) / channels)
    done = []
    for start in range(0, width, order):
        at, later = slice(start, start + order), slice(start + order, width)
        before = current[at].copy()
        transform = recipe.transform(before, whole[at, at])
        found = _block(recipe, transform, before, root[at, at])
        wanted = transform.weights_side[0] @ before
        error = transform.matrices[0].T @ (found.values().T - wanted)
        current[later] += root[later, at] @ np.linalg.solve(root[at, at], error)
        done.append((transform, found))
    return Quantized(blocks=_joined([b for _, b in done]), transform=_stacked([t for t, _ in done], channels))


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    form: BlockFormat
    kind: Kind
    damping: float
    bits: int | Literal["pow2"] | None
    tensor: float

    def transform(self, weights: Array, moments: Array) -> Transform:
        """Of one block: weights [d, N], moments of the input [d, d]."""
        m_x = Moments(blocks=moments[None].copy(), count=0, source="calibration", channels=len(weights))
        found = build(self.kind, m_x, weight_moments([weights], len(weights)), damping=self.damping)
        exact = found if self.bits is None else rounded(found, self.bits)
        if exact is None:
            raise ValueError(f"{self.bits} bits make a {self.kind} transform singular; use more bits")
        return exact

    def scales(self, rows: Array) -> Array:
        """The scales of one group, rows [N, B] in float64, as [N, 1]."""
        if self.form.power_of_two:
            return self.form.quantize(rows).scales
        greatest = np.abs(rows).max(axis=1, keepdims=True)
        return self.form.scale.choose(greatest, self.form.element, self.form.rule, self.tensor)


def _check(weights: Array, hessian: Array, form: BlockFormat, order: int, damping: float) -> None:
    if weights.ndim != 2 or not weights.size or hessian.shape != (len(weights), len(weights)):
        raise ValueError(f"weights {list(weights.shape)} and Hessian {list(hessian.shape)} are not [K, N] and [K, K]")
    if np.diagonal(hessian).min() < 0:
        raise ValueError("a Hessian of second moments has no negative value on its diagonal")
    if not np.isfinite(weights).all() or not np.isfinite(hessian).all():
        raise ValueError("weights and Hessian must be finite; they hold NaN or infinity")
    if order < 1 or order % form.block:
        raise ValueError(f"a transform of {order} channels is no multiple of {form.name}'s block of {form.block}")
    if not 0 < damping < np.inf:
        raise ValueError(f"damping must be a positive number, not {damping}; {DAMPING} is usual")


def _tensor_scale(recipe: _Recipe, weights: Array, hessian: Array, order: int) -> float:
    starts = range(0, len(weights), order)
    turned = [
        recipe.transform(weights[i : i + order], hessian[i : i + order, i : i + order]).apply_w(weights[i : i + order])
        for i in starts
    ]
    return recipe.form.quantize(np.concatenate(turned).T).tensor_scale


def _inverse_root(hessian: Array, damping: float) -> Array:
    """L, lower, with ``L L^T`` the inverse of the damped Hessian; of I for one of zeros."""
    inverse = np.linalg.inv(hessian + (damping if damping > 0 else 1.0) * np.eye(len(hessian)))
    inverse += inverse.T
    inverse /= 2
    return np.linalg.cholesky(inverse)


def _block(recipe: _Recipe, transform: Transform, weights: Array, root: Array) -> Blocks:
    """GPTQ within one block: weights [d, N] before the transform, root of its conditional inverse Hessian."""
    size, turn = recipe.form.block, transform.weights_side[0]
    current = turn @ weights
    half = turn @ root
    answers = np.linalg.cholesky(half @ half.T)
    groups = []
    for start in range(0, len(current), size):
        scales = recipe.scales(np.ascontiguousarray(current[start : start + size].T))
        significands = []
        for row in range(start, start + size):
            found = recipe.form.significands(current[row], scales[:, 0])
            error = found * scales[:, 0] - current[row]
            current[row + 1 :] += np.outer(answers[row + 1 :, row] / answers[row, row], error)
            significands.append(found)
        groups.append((np.stack(significands, axis=1), scales))
    return Blocks(
        significands=np.stack([s for s, _ in groups], axis=1),
        scales=np.concatenate([s for _, s in groups], axis=1),
        length=len(weights),
        tensor_scale=recipe.tensor,
    )


def _joined(blocks: list[Blocks]) -> Blocks:
    return Blocks(
        significands=np.concatenate([b.significands for b in blocks], axis=1),
        scales=np.concatenate([b.scales for b in blocks], axis=1),
        length=sum(b.length for b in blocks),
        tensor_scale=blocks[0].tensor_scale,
    )


def _stacked(transforms: list[Transform], channels: int) -> Transform:
    diagonals = [t.diagonal for t in transforms if t.diagonal is not None]
    return replace(
        transforms[0],
        matrices=np.concatenate([t.matrices for t in transforms]),
        weights_side=np.concatenate([t.weights_side for t in transforms]),
        diagonal=np.concatenate(diagonals) if diagonals else None,
        channels=channels,
    )
