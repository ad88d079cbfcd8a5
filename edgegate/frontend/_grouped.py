"""Products of rows that are sorted by group with the matrix of their group, as mixtures of experts have them.

How many rows each group has is counted in integers, which the exporter itself does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.onnx_opset import opset21 as op

from edgegate.graph import Array

OPERATOR = "grouped_mm_fallback"
"""What the package transformers calls its operator: torch's own takes bfloat16 alone when it is traced."""


def translations() -> dict[Any, Callable[..., Any]]:
    """What the exporter makes of torch's histogram, and of the operator if its package has registered it by now."""
    import torch

    found: dict[Any, Callable[..., Any]] = {torch.ops.aten.histc.default: _counts}
    if hasattr(torch.ops.transformers, OPERATOR):
        found[getattr(torch.ops.transformers, OPERATOR).default] = _grouped
    return found


def _grouped(x: Any, weights: Any, offs: Any) -> Any:
    """``transformers::grouped_mm_fallback``: [S, K] and [G, K, N] to [S, N]; group g ends before row ``offs[g]``.

    The group of a row is the number of groups that end at it or before it. Rows behind the last group, which are
    zeros there, do not occur: the counts of all groups are those of all rows.
    """
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    rows = op.Range(zero, op.Squeeze(op.Shape(x, start=0, end=1)), one)
    ended = op.LessOrEqual(op.Unsqueeze(op.Cast(offs, to=7), [0]), op.Unsqueeze(rows, [1]))
    groups = op.ReduceSum(op.Cast(ended, to=7), [1], keepdims=0)
    groups = op.Min(groups, op.Sub(op.Squeeze(op.Shape(weights, start=0, end=1)), one))
    return op.Squeeze(op.MatMul(op.Unsqueeze(x, [1]), op.Gather(weights, groups, axis=0)), [1])


def _counts(x: Any, bins: int = 100, min: float = 0.0, max: float = 0.0) -> Any:
    """``aten::histc``: how many elements lie in each of ``bins`` equal parts of [min, max], the last one closed."""
    if min == max:
        raise ValueError("a histogram between what the data's ends are has no form in ONNX: give it min and max")
    edges = np.linspace(min, max, bins + 1).astype(np.float32)
    edges[-1] = np.nextafter(edges[-1], np.float32(np.inf))
    flat = op.Reshape(x, [1, -1])
    inside = op.And(op.GreaterOrEqual(flat, _column(edges[:-1])), op.Less(flat, _column(edges[1:])))
    return op.CastLike(op.ReduceSum(op.Cast(inside, to=7), [1], keepdims=0), x)


def _column(edges: Array) -> Any:
    """A constant [bins, 1]."""
    return op.Constant(value=ir.tensor(np.ascontiguousarray(edges[:, None])))
