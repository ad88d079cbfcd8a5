"""What each op needs of its inputs so that the channels of its output come out mixed, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.quant.folds._labels import FIXED, FREE, Ties
from edgegate.quant.folds._scalars import is_homogeneous
from edgegate.quant.folds._walk import Change, Rule, Step


def mixing(model: ir.Model, size: int) -> Rule:
    """The rule of matrices on blocks of ``size`` channels; labels have sites.

    Whatever lets a block through is linear and does the same to all its channels.
    """

    def rule(ties: Ties, node: ir.Node, labels: list[Array]) -> Step | None:
        if node.domain == f"{DOMAIN}.unary":
            linear = is_homogeneous(model.functions[node.op_identifier()], linear=True)
            return Step(demands={0: labels[0]}) if linear else None
        step = _STEPS.get((node.domain, node.op_type))
        return None if step is None else step(ties, node, labels[0], size)

    return rule


def columns(row: Array, size: int) -> tuple[Array, Array]:
    """The columns of each block, [n, size], in the order of their channels, and the numbers [n] of the blocks."""
    found = np.flatnonzero(row > 0)
    order = found[np.argsort(row[found], kind="stable")].reshape(-1, size)
    return order, (row[order[:, 0]] - 1) // size


def _is_whole(ties: Ties, labels: Array, size: int) -> bool:
    """Whether each line along the last axis holds whole blocks, each at one site."""
    lines = labels.reshape(-1, labels.shape[-1])
    channels = ties.channel(lines) - 1
    if (channels < 0).any() or lines.shape[1] % size:
        return False
    order = np.argsort(channels, axis=1, kind="stable")
    blocks = np.take_along_axis(channels, order, 1).reshape(len(lines), -1, size)
    sites = np.take_along_axis(ties.site(lines), order, 1).reshape(blocks.shape)
    in_order = np.array_equal(blocks % size, np.broadcast_to(np.arange(size), blocks.shape))
    return bool(in_order and (blocks // size == blocks[..., :1] // size).all() and (sites == sites[..., :1]).all())


def _plain(ties: Ties, labels: Array) -> Array:
    """The labels at site 0."""
    return np.where(labels == FREE, FREE, ties.channel(labels))


def _layer(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step | None:
    """A layer whose output channels are the last axis of ``labels``."""
    lines = labels.reshape(-1, labels.shape[-1])
    mixed = (lines > FIXED).any(axis=0)
    constants = [i for i, v in enumerate(node.inputs) if i and v is not None]
    if any(array(node.inputs[i]) is None for i in constants) or not _is_whole(ties, lines[:, mixed], size):
        return None
    row = ties.over(_plain(ties, lines), [0])[0]
    return Step(changes=[Change(node=node, index=i, labels=row) for i in constants])


def _convolution(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step | None:
    step = _layer(ties, node, np.moveaxis(labels, 1, -1), size)
    return step if step is None or _in_groups(node, step, size) else None


def _in_groups(node: ir.Node, step: Step, size: int) -> bool:
    """Whether no block lies in two groups of a convolution: the rows of a group read inputs of their own."""
    row = step.changes[0].labels
    of_group = columns(row, size)[0] // (row.size // int(attribute(node, "group", 1)))
    return bool((of_group == of_group[:, :1]).all())


def _same(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step:
    return Step(demands={0: labels})


def _sum(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step | None:
    fits = all(v is not None and array(v) is None and shape(v) == labels.shape for v in node.inputs)
    return Step(demands={0: labels, 1: labels}) if fits else None


def _matmul(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step | None:
    """``P @ V``: whole blocks along V's last axis; where they lie is V's own business."""
    value = node.inputs[1]
    if value is None or array(value) is not None or len(shape(value)) < 2 or not _is_whole(ties, labels, size):
        return None
    dims = shape(value)
    thin = ties.shrink(ties.over(_plain(ties, labels), [labels.ndim - 2]), (*dims[:-2], 1, dims[-1]))
    return Step(demands={1: _sited(ties, np.broadcast_to(thin, dims))})


def _sited(ties: Ties, channels: Array) -> Array:
    """The labels of these channels, with a site for each line along the last axis."""
    sites = ties.sites(channels[..., 0].size).reshape(*channels.shape[:-1], 1)
    return np.where(channels > 0, channels + sites * (ties.channels + 1), channels)


def _attention(ties: Ties, node: ir.Node, labels: Array, size: int) -> Step | None:
    """``Attention`` of opset 23, where the heads are axis 1 or lie in the channels."""
    value = node.inputs[2]
    has_past = len(node.inputs) > 5 and node.inputs[5] is not None
    if value is None or array(value) is not None or has_past or any(v.uses() for v in node.outputs[1:3]):
        return None
    dims = shape(value)
    if flat := len(dims) == 3:
        heads, kv_heads = (int(attribute(node, f"{of}_num_heads")) for of in ("q", "kv"))
        labels = labels.reshape(*labels.shape[:2], heads, -1).transpose(0, 2, 1, 3)
    else:
        kv_heads = dims[1]
    if not _is_whole(ties, labels, size):
        return None
    batch, heads, length, width = labels.shape
    split = _plain(ties, labels).reshape(batch, kv_heads, heads // kv_heads, length, width)
    thin = ties.over(split, [2, 3])[:, :, :, 0]  # batch, kv_heads, 1, width
    if not flat:
        return Step(demands={2: _sited(ties, np.broadcast_to(thin, dims))})
    apart = np.broadcast_to(thin.transpose(0, 2, 1, 3), (dims[0], dims[1], kv_heads, width))
    return Step(demands={2: _sited(ties, apart).reshape(dims)})


_STEPS: dict[tuple[str, str], Callable[[Ties, ir.Node, Array, int], Step | None]] = {
    (DOMAIN, "Linear"): _layer,
    ("", "Conv"): _convolution,
    ("", "Neg"): _same,
    ("", "Add"): _sum,
    ("", "Sub"): _sum,
    ("", "MatMul"): _matmul,
    ("", "Attention"): _attention,
}
