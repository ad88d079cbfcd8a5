"""Second moments of a layer's input and weights, block by block along the input channels.

A block transform (:mod:`edgegate.quant.transforms`) sees of a layer only the d x d blocks ``E[x x^T]`` on the
diagonal of the channels' second moments, uncentred: d floats per channel, never K x K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from edgegate.graph import Array

Source = Literal["calibration", "gamma", "synthetic", "identity", "weights"]
_CHUNK = 1 << 21
"""Values that are converted to float64 at a time, 16 MiB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """The blocks of ``E[x x^T]`` along the channels.

    Attributes:
        blocks: float64 [n, d, d], each symmetric. Where d does not divide the channels, the last block ends in dead
            channels: rows and columns of zeros.
        count: Vectors that were averaged; 0 where the moments are analytic.
        source: Where they come from.
        channels: The layer's input channels K, ``(n - 1) * d < K <= n * d``.
    """

    blocks: Array
    count: int
    source: Source
    channels: int

    def __post_init__(self) -> None:
        shape = self.blocks.shape
        if len(shape) != 3 or shape[1] != shape[2] or not (shape[0] - 1) * shape[1] < self.channels <= _total(shape):
            raise ValueError(f"moments {list(shape)} are not [n, d, d] with n * d around {self.channels} channels")
        if self.source not in get_args(Source) or self.count < 0:
            raise ValueError(f"moments from {self.count} vectors of source {self.source!r}")
        if self.blocks.dtype != np.float64 or not np.isfinite(self.blocks).all():
            raise ValueError("moments must be finite float64 values; look for NaN or infinity in the data")
        skew = np.abs(self.blocks - self.blocks.transpose(0, 2, 1)).max(axis=(1, 2))
        if (skew > 1e-9 * self.diagonal.max(axis=1)).any() or self.diagonal.min() < 0:
            raise ValueError("moments must be symmetric, with no negative value on the diagonal")

    @property
    def diagonal(self) -> Array:
        """The channels' mean squares, float64 [n, d]."""
        return np.diagonal(self.blocks, axis1=1, axis2=2)

    @property
    def block(self) -> int:
        """Channels of a block, d."""
        return int(self.blocks.shape[1])


def _total(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1]


def _symmetric(blocks: Array) -> Array:
    """Sums in another order differ in the last bits."""
    return (blocks + blocks.transpose(0, 2, 1)) / 2


def block_count(channels: int, block: int) -> int:
    """How many blocks hold the channels; the last may be ragged. ValueError unless both are positive."""
    if channels < 1 or block < 1:
        raise ValueError(f"{channels} channels in blocks of {block}: both must be positive")
    return -(-channels // block)


def blocked(x: Array, block: int) -> Array:
    """``x`` [..., K] as [..., n, d], zeros appended where the block d does not divide K; the dtype is kept."""
    count = block_count(x.shape[-1], block)
    missing = count * block - x.shape[-1]
    if missing:
        x = np.concatenate([x, np.zeros((*x.shape[:-1], missing), x.dtype)], axis=-1)
    return x.reshape(*x.shape[:-1], count, block)


class MomentsSum:
    """Sums ``x x^T`` of the vectors that stream by: float64, d * K values whatever the number of vectors."""

    def __init__(self, channels: int, block: int, source: Source = "calibration") -> None:
        self._sums = np.zeros((block_count(channels, block), block, block))
        self._channels, self._source, self._count = channels, source, 0

    def add(self, x: Array) -> None:
        """Add the vectors of ``x``, [..., K]. ValueError for other channels, or a value that is not finite."""
        if x.shape[-1] != self._channels:
            raise ValueError(f"vectors of {x.shape[-1]} channels, where {self._channels} are expected")
        rows = x.reshape(-1, self._channels)
        step = max(1, _CHUNK // self._channels)
        for start in range(0, len(rows), step):
            part = blocked(rows[start : start + step].astype(np.float64), self._sums.shape[1]).transpose(1, 2, 0)
            if not np.isfinite(part).all():
                raise ValueError("calibration vectors must be finite: they hold NaN or infinity")
            self._sums += part @ part.transpose(0, 2, 1)
        self._count += len(rows)

    def result(self) -> Moments:
        """The mean over all vectors so far. ValueError if there are none."""
        if self._count == 0:
            raise ValueError("no calibration vector was seen; calibrate with one at least")
        blocks = self._sums / self._count
        return Moments(blocks=_symmetric(blocks), count=self._count, source=self._source, channels=self._channels)


def identity_moments(channels: int, block: int) -> Moments:
    """White input: 1 on the diagonal of every live channel."""
    return gamma_moments(np.ones(channels), None, block, source="identity")


def gamma_moments(gamma: Array, beta: Array | None, block: int, *, source: Source = "gamma") -> Moments:
    """The moments after a norm with these gains, without data.

    After RMSNorm, or LayerNorm, ``x = gamma * h + beta`` with E[h] = 0 and E||h||^2 = K exactly; for an isotropic h,
    which is the assumption, ``E[x x^T] = diag(gamma^2) + beta beta^T``.

    Args:
        gamma: The norm's gains, [K].
        beta: Its biases, [K], or None.
        block: Channels of a block.
        source: What the moments are said to come from.
    """
    if gamma.ndim != 1 or (beta is not None and beta.shape != gamma.shape):
        raise ValueError(f"gains {list(gamma.shape)} and biases of a norm must be two vectors of one length")
    gains = blocked(gamma.astype(np.float64), block)
    blocks = np.square(gains)[:, :, None] * np.eye(block)
    if beta is not None:
        biases = blocked(beta.astype(np.float64), block)
        blocks += biases[:, :, None] * biases[:, None, :]
    return Moments(blocks=blocks, count=0, source=source, channels=len(gamma))


def weight_moments(weights: Sequence[Array], block: int) -> Moments:
    """The moments of the weights' columns: sum of ``W W^T`` over the outputs of all layers that share one input.

    Args:
        weights: [K, N] each, any N, one K. Several layers that read one input share one transform.
        block: Channels of a block.

    Returns:
        ``sum W W^T / sum N``, count = sum N.

    Raises:
        ValueError: No weights, other ranks, different K, or values that are not finite.
    """
    if not weights or any(w.ndim != 2 or w.shape[0] != weights[0].shape[0] or w.shape[1] < 1 for w in weights):
        raise ValueError(f"weights {[list(w.shape) for w in weights]} are not [K, N] with one K")
    channels, total = len(weights[0]), sum(w.shape[1] for w in weights)
    count = block_count(channels, block)
    blocks = np.zeros((count, block, block))
    for weight in weights:
        step = max(1, _CHUNK // (block * weight.shape[1]))
        for start in range(0, count, step):
            part = _rows(weight, start, min(start + step, count), block)
            blocks[start : start + len(part)] += part @ part.transpose(0, 2, 1)
    return Moments(blocks=_symmetric(blocks / total), count=total, source="weights", channels=channels)


def _rows(weight: Array, first: int, end: int, block: int) -> Array:
    """Blocks ``first`` to ``end`` of the rows of a weight, float64 [blocks, d, N], zeros below the last row."""
    part = weight[first * block : end * block].astype(np.float64)
    whole = np.zeros(((end - first) * block, weight.shape[1]))
    whole[: len(part)] = part
    return whole.reshape(end - first, block, -1)
