"""A matrix for each block of channels is a grouped convolution with one tap."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, matches, only_user, shape
from edgegate.passes._contraction import Moves
from edgegate.passes._rewrite import absorb, is_float, operand, operands

MIXED = (0, 1, 3, 2)
"""The order of axes that puts channels before rows, and back."""


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """``x[a, b] @ weight[b]``, or ``weight[b].T @ x[a, b]``.

    Attributes:
        x: The activation; its leading axes, together, are ``outer`` times the number of blocks.
        outer: How many values of ``a``.
        rows: Vectors that each block's matrix is multiplied with.
        weight: [blocks, K, N].
        left: Whether the weights stand on the left, so that vectors are columns.
    """

    x: ir.Value
    outer: int
    rows: int
    weight: Array
    left: bool


def blocks_to_conv(model: ir.Model) -> None:
    """Turn MatMul of an activation [..., b, m, K] with a constant [b, K, N] into a Conv of b groups, and moves.

    So write structured matrices their cheap products: the factors of BLAST (arXiv 2410.21262), the two block-diagonal
    matrices of Monarch (arXiv 2204.00595), experts and heads with weights of their own. As a layer it has a scale for
    each output channel of each block, and no zero outside the blocks is stored or multiplied. The constant may
    stand on the left. The Add of a bias after it goes in.
    """
    for node in matches(model, "MatMul"):
        found = _blocks(operand(node), array(node.inputs[1]), left=False)
        found = found or _blocks(operand(node, 1), array(node.inputs[0]), left=True)
        if found is not None:
            _convolve(model, node, found)


def _blocks(x: ir.Value, weight: Array | None, *, left: bool) -> _Blocks | None:
    if weight is None or array(x) is not None or not is_float(x):
        return None
    lead, dims = weight.shape[:-2], shape(x)
    while lead and lead[0] == 1:
        lead = lead[1:]
    split = len(dims) - 2 - len(lead)
    if not lead or split < 0 or dims[split:-2] != lead:
        return None
    flat = weight.reshape(-1, *weight.shape[-2:])
    return _Blocks(
        x=x, outer=prod(dims[:split]), rows=dims[-1 if left else -2], weight=flat.transpose(0, 2, 1) if left else flat,
        left=left,
    )  # fmt: skip


def _convolve(model: ir.Model, node: ir.Node, blocks: _Blocks) -> None:
    moves, (count, depth, width) = Moves.of(model, node), blocks.weight.shape
    bias = _bias(node, blocks)
    x = moves.reshape(blocks.x, (blocks.outer, count, *_order(blocks, blocks.rows, depth)), "blocks")
    x = x if blocks.left else moves.transpose(x, MIXED, "columns")
    x = moves.reshape(x, (blocks.outer, count * depth, blocks.rows), "channels")
    taps = constant(model, f"{moves.name}.weight", blocks.weight.transpose(0, 2, 1).reshape(count * width, depth, 1))
    start = constant(model, f"{moves.name}.bias", np.zeros(count * width, np.float32) if bias is None else bias[1])
    plain = {"pads": [0, 0], "strides": [1], "dilations": [1], "group": count}
    y = moves.node("Conv", [x, taps, start], "conv", (blocks.outer, count * width, blocks.rows), **plain)
    if bias is not None:
        absorb(bias[0], node)
    y = moves.reshape(y, (blocks.outer, count, width, blocks.rows), "products")
    moves.finish(y if blocks.left else moves.transpose(y, MIXED, "rows"))


def _order(blocks: _Blocks, rows: int, channels: int) -> tuple[int, int]:
    return (channels, rows) if blocks.left else (rows, channels)


def _bias(node: ir.Node, blocks: _Blocks) -> tuple[ir.Node, Array] | None:
    """The Add behind the product, and what it adds to each column of each block, [b * N]; None if there is none."""
    add, dims = only_user(node.outputs[0]), shape(node.outputs[0])
    found = operands(add) if add is not None and (add.domain, add.op_type) == ("", "Add") else None
    if add is None or found is None or shape(add.outputs[0]) != dims:
        return None
    count, _, width = blocks.weight.shape
    full = np.broadcast_to(found[1], dims).reshape(blocks.outer, count, *_order(blocks, blocks.rows, width))
    full = full if blocks.left else full.transpose(MIXED)
    return (add, full[0, :, :, 0].reshape(-1)) if (full == full[:1, :, :, :1]).all() else None
