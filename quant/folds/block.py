"""A matrix for each block of channels goes into the layers before them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, shape
from edgegate.passes.to_affine import NORM
from edgegate.quant.folds._labels import FIXED, Ties
from edgegate.quant.folds._mixing import columns, mixing
from edgegate.quant.folds._store import Revision, store, stored, wide
from edgegate.quant.folds._walk import Change, walk


def fold_blocks(
    model: ir.Model, value: ir.Value, matrices: Array, axis: int, *, readers: Collection[ir.Node] | None = None
) -> bool:
    """Make each block of ``value`` come out as ``matrix @ block``, by changing weights and biases alone.

    The matrices go back to the output channels of Linear and Conv, on their way through moves, sums of two
    activations, constant factors that are the same for all channels, and the second operand of MatMul and
    Attention, if whole blocks lie inside the heads. Not through norms, gates or any other function.

    It is exact: whoever reads ``value`` must take the inverse, which is the caller's business.

    Args:
        model: Normalised by ``edgegate.passes.FLOAT``; changed only if the result is True.
        value: Of rank > ``axis``; the constants of floating dtypes.
        matrices: float64 [n, d, d], for the n blocks of the n * d channels.
        axis: The axis of the channels.
        readers: The nodes whose constants the caller changes. If ``value`` has another reader, or is an output of
            the graph, nothing is folded. None: all that there are.

    Returns:
        Whether the matrices were folded. Blocks that :func:`tied_blocks` puts into one group need equal ones.

    Raises:
        ValueError: ``matrices`` is not [n, d, d] and finite.
    """
    dims, matrices = shape(value), np.asarray(matrices, np.float64)
    axis = axis % len(dims)
    square = matrices.ndim == 3 and matrices.shape[1] == matrices.shape[2]
    if not square or len(matrices) * matrices.shape[1] != dims[axis] or not np.isfinite(matrices).all():
        raise ValueError(f"matrices must be finite, [n, d, d], for {dims[axis]} channels, got {matrices.shape}")
    size = matrices.shape[1]
    ties, changes = _plan(model, value, axis, size, readers)
    groups = _groups(ties, size)
    if groups is None or not np.array_equal(matrices, _by_group(matrices, groups)):
        return False
    revisions = stored([_revision(matrices, change) for change in changes])
    if revisions is None:
        return False
    store(model, revisions)
    for change in changes:
        change.node.metadata_props.pop(NORM, None)
    return True


def tied_blocks(
    model: ir.Model, value: ir.Value, size: int, axis: int, *, readers: Collection[ir.Node] | None = None
) -> list[list[int]] | None:
    """Which blocks of ``size`` channels of ``value`` must share a matrix for :func:`fold_blocks`.

    Returns:
        Groups of block numbers, in order of their first; None where some block cannot be folded at all.
    """
    axis = axis % len(shape(value))
    if size < 1 or shape(value)[axis] % size:
        return None
    groups = _groups(_plan(model, value, axis, size, readers)[0], size)
    if groups is None or (groups < 0).any():
        return None
    return [np.flatnonzero(groups == first).tolist() for first in np.unique(groups)]


def _plan(
    model: ir.Model, value: ir.Value, axis: int, size: int, readers: Collection[ir.Node] | None
) -> tuple[Ties, list[Change]]:
    dims = shape(value)
    ties = Ties(dims[axis], size)
    along = [1] * len(dims)
    along[axis] = dims[axis]
    lines = [1 if a == axis else d for a, d in enumerate(dims)]
    sites = ties.sites(int(np.prod(lines, dtype=np.int64))).reshape(lines)
    labels = 1 + np.arange(dims[axis]).reshape(along) + sites * (dims[axis] + 1)
    nodes = [node for node, _ in value.uses()] if readers is None else readers
    changes = walk(model, value, labels, ties, mixing(model, size), nodes)
    ties.check_sites()
    return ties, changes


def _groups(ties: Ties, size: int) -> Array | None:
    """[n] the first block of each block's group, -1 where it must stay as it is; None if channels changed places."""
    roots = ties.roots()[1:].reshape(-1, size)
    fixed = (roots == FIXED).any(axis=1)
    blocks, places = (roots - 1) // size, (roots - 1) % size
    sound = (blocks == blocks[:, :1]).all(axis=1) & (places == np.arange(size)).all(axis=1)
    return np.where(fixed, -1, blocks[:, 0]) if (sound | fixed).all() else None


def _by_group(matrices: Array, groups: Array) -> Array:
    return np.where((groups < 0)[:, None, None], np.eye(matrices.shape[1]), matrices[groups])


def _revision(matrices: Array, change: Change) -> Revision:
    data = wide(change.node, change.index)
    axis = data.ndim - 1 if change.node.op_type == "Linear" else 0
    turned = np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1)
    order, numbers = columns(change.labels, matrices.shape[1])
    turned = turned.copy()
    turned[order] = matrices[numbers] @ turned[order]
    rest = np.delete(data.shape, axis)
    return Revision(node=change.node, index=change.index, data=np.moveaxis(turned.reshape(-1, *rest), 0, axis))
