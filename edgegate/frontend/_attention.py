"""``scaled_dot_product_attention`` of any rank: the exporter itself takes four axes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
from onnxscript.function_libs.torch_lib.ops.nn import aten_scaled_dot_product_attention
from onnxscript.onnx_opset import opset21 as op


def translations() -> dict[Any, Callable[..., Any]]:
    """What the exporter makes of torch's operator."""
    import torch

    return {torch.ops.aten.scaled_dot_product_attention.default: _attention}


def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """``aten::scaled_dot_product_attention``: [..., L, E], [..., S, E] and [..., S, V] to [..., L, V].

    What stands before the last three axes becomes one axis, as windows beside samples (Hiera, NesT).
    """
    how = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    rank = len(query.shape)
    if rank == 4 or {rank} != {len(key.shape), len(value.shape)}:  # what torch refuses, the exporter refuses
        return aten_scaled_dot_product_attention(query, key, value, attn_mask, **how)
    if attn_mask is not None and len(attn_mask.shape) > 2:
        attn_mask = _four(_expanded(attn_mask, query, key), rank)
    y = aten_scaled_dot_product_attention(*(_four(x, rank) for x in (query, key, value)), attn_mask, **how)
    return op.Reshape(y, op.Concat(op.Shape(query, end=-1), op.Shape(value, start=-1), axis=0))


def _four(x: Any, rank: int) -> Any:
    """``x``, of ``rank`` axes, with four; the exporter looks at the shape and type that it is told."""
    kept = op.Shape(x, start=max(rank - 3, 0))
    before = op.Constant(value_ints=[-1] if rank > 3 else [1] * (4 - rank))
    y = op.Reshape(x, op.Concat(before, kept, axis=0))
    y.shape, y.dtype = ir.Shape([None] * (4 - min(rank, 3)) + list(x.shape)[-3:]), x.dtype
    return y


def _expanded(mask: Any, query: Any, key: Any) -> Any:
    """``mask`` for every place before its last two axes, [..., L, S]."""
    y = op.Expand(mask, op.Concat(op.Shape(query, end=-1), op.Shape(key, start=-2, end=-1), axis=0))
    y.shape, y.dtype = ir.Shape([*list(query.shape)[:-1], list(key.shape)[-2]]), mask.dtype
    return y
