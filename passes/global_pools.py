"""A pool over everything is a reduction."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, constant, matches, shape
from edgegate.passes._rewrite import operand, put

_REDUCTION = {"GlobalAveragePool": "ReduceMean", "AveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}


def global_pools(model: ir.Model) -> None:
    """Turn GlobalAveragePool, GlobalMaxPool, and AveragePool with one window into ReduceMean and ReduceMax.

    Axes are a constant input, ``keepdims`` is 1: squeeze-and-excitation looks the same however written.
    """
    for node in matches(model, *_REDUCTION):
        source = operand(node)
        dims = shape(source)
        if node.op_type == "AveragePool" and not _covers(node, dims[2:]):
            continue
        axes = constant(model, f"{node.outputs[0].name}.axes", np.arange(2, len(dims)))
        put(node, _REDUCTION[node.op_type], [source, axes], {"keepdims": 1})


def _covers(node: ir.Node, spatial: tuple[int, ...]) -> bool:
    """Whether the pool's only window is its whole input."""
    one = all(d == 1 for d in shape(node.outputs[0])[2:])
    return one and tuple(attribute(node, "kernel_shape")) == spatial and not any(attribute(node, "pads", []))
