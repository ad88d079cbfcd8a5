"""A scale of channels goes into the constants before them."""

from __future__ import annotations

import json
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, shape
from edgegate.passes.to_affine import NORM
from edgegate.quant.folds._labels import FIXED, Ties
from edgegate.quant.folds._scaling import scaling
from edgegate.quant.folds._store import Revision, store, stored, wide
from edgegate.quant.folds._walk import Change, walk


def fold_diagonal(
    model: ir.Model, value: ir.Value, scale: Array, axis: int, *, readers: Collection[ir.Node] | None = None
) -> bool:
    """Make ``value`` come out multiplied by ``scale`` along ``axis``, by changing constants alone.

    The scale goes back to weights and biases of Linear and Conv, gains and biases of norms and Affine, and
    constant factors; on its way through moves, sums, positively homogeneous functions, the value operand of
    gates, and the second operand of MatMul and Attention. Where a value on the way has other readers, or a channel
    is read in several places (the heads that share keys and values), it goes no further than :func:`tied` says.

    It is exact: whoever reads ``value`` must be divided by the same scale, which is the caller's business.

    Args:
        model: Normalised by ``edgegate.passes.FLOAT``; changed only if the result is True.
        value: Of rank > ``axis``; the constants of floating dtypes.
        scale: float64 [K], positive.
        axis: The axis of the K channels.
        readers: The nodes whose constants the caller divides. If ``value`` has another reader, or is an output of
            the graph, nothing is folded. None: all that there are.

    Returns:
        Whether the scale was folded.

    Raises:
        ValueError: ``scale`` is not [K], positive and finite.
    """
    dims, scale = shape(value), np.asarray(scale, np.float64)
    axis = axis % len(dims)
    if scale.shape != (dims[axis],) or not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"scale must hold {dims[axis]} positive numbers, got {scale.shape}")
    ties, changes = _plan(model, value, axis, readers)
    factors = np.concatenate([[1.0], scale])
    if not np.array_equal(factors, factors[ties.roots()]):
        return False
    revisions = stored([_revision(ties, factors, change) for change in changes])
    if revisions is None:
        return False
    store(model, revisions)
    for change in changes:
        _scale_moments(change, factors[ties.channel(change.labels)].ravel())
    return True


def tied(
    model: ir.Model, value: ir.Value, axis: int, *, readers: Collection[ir.Node] | None = None
) -> list[list[int]] | None:
    """Which channels of ``value`` must share a scale for :func:`fold_diagonal`.

    Args:
        model: As for fold_diagonal.
        value: As for fold_diagonal.
        axis: As for fold_diagonal.
        readers: As for fold_diagonal.

    Returns:
        Groups of channel numbers, in order of their first; None where some channel cannot be scaled at all.
    """
    dims = shape(value)
    ties, _ = _plan(model, value, axis % len(dims), readers)
    roots = ties.roots()[1:]
    if (roots == FIXED).any():
        return None
    return [np.flatnonzero(roots == root).tolist() for root in np.unique(roots)]


def _plan(
    model: ir.Model, value: ir.Value, axis: int, readers: Collection[ir.Node] | None
) -> tuple[Ties, list[Change]]:
    dims = shape(value)
    ties = Ties(dims[axis])
    along = [1] * len(dims)
    along[axis] = dims[axis]
    labels = np.broadcast_to(1 + np.arange(dims[axis]).reshape(along), dims)
    nodes = [node for node, _ in value.uses()] if readers is None else readers
    return ties, walk(model, value, labels, ties, scaling(model), nodes)


def _revision(ties: Ties, factors: Array, change: Change) -> Revision:
    data = wide(change.node, change.index) * factors[ties.channel(change.labels)]
    return Revision(node=change.node, index=change.index, data=data)


def _scale_moments(change: Change, factors: Array) -> None:
    """The moments that a norm left behind are those of the scaled output now."""
    if change.index != 1 or NORM not in change.node.metadata_props:
        return
    former = json.loads(change.node.metadata_props[NORM])
    scaled = {name: (np.array(former[name]) * factors).tolist() for name in ("mean", "std")}
    change.node.metadata_props[NORM] = json.dumps(scaled)
