"""How much an integer graph computes for a sample: multiplications with accumulation, and elements of all else."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from edgegate.graph import shape
from edgegate.ops.logic import netlist_of
from edgegate.stages.edges import is_edge

PRODUCTS = frozenset({"BlockMatMul", "MaskedMatMul", "MatMul", "MatMul16", "MatMul16x8"})
CONVOLUTIONS = frozenset({"Conv1d", "Conv2d", "Conv2d16x8"})
FREE = frozenset({"Reshape", "Identity", "StageGate"})
"""What costs nothing, or is not there when stages are cut."""


def work(model: ir.Model, samples: int) -> tuple[int, int]:
    """(MACs, elements made by other ops) of a sample, rounded up.

    A layer of one matrix and several masks counts once. Gates of a logic network are elements.

    Args:
        model: An integer graph.
        samples: Of one call.
    """
    macs = elements = 0
    for node in model.graph:
        if is_edge(node) or node.op_type in FREE:
            continue
        depth = _depth(node)
        if depth:
            macs += _made(node) * depth
        else:
            elements += netlist_of(node).gates * samples if node.op_type == "Logic" else _made(node)
    return -(-macs // samples), -(-elements // samples)


def _made(node: ir.Node) -> int:
    return sum(prod(shape(v)) for v in node.outputs if v.name)


def _depth(node: ir.Node) -> int:
    """Products summed in each element; 0 for an op that sums none."""
    a, b = (*node.inputs, None, None)[:2]
    if not node.domain or a is None or b is None:
        return 0
    if node.op_type in PRODUCTS:
        return shape(a)[-1]
    if node.op_type in CONVOLUTIONS:
        return prod(shape(b)[1:])
    return prod(shape(b)[:2]) if node.op_type == "DepthwiseConv2d" else 0
