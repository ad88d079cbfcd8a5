"""Values of a float model that are bits, or exact counts of bits: nothing is to be chosen for them.

A Lut or a Network reads and makes bits, a Threshold makes them; they are stored as bytes of 0 and 1. What a GroupSum
counts stays an exact int32 on its way to an output or to an ArgMax.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgegate.graph import DOMAIN
from edgegate.quant.storage import Storage

BITS = Storage(dtype="uint8", scale=1.0, zero_point=0)
"""How bits are stored."""
READERS = ("Lut", "Network")
"""Ops that read bits."""
COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
"""Ops that make truth values of numbers."""
MAKERS = (*READERS, "Threshold")
"""Ops whose results are bits."""
MOVES = ("Reshape", "Transpose", "Concat", "Gather", "Slice", "Split", "Pad", "Squeeze", "Unsqueeze", "Flatten",
         "Identity", "Expand", "MaxPool")  # fmt: skip
"""Ops that hand bits on."""


def is_bit_maker(node: ir.Node) -> bool:
    """Whether the node's results are bits: gates, comparisons, or truth values that become numbers."""
    if (node.domain, node.op_type) == ("", "Cast") and node.inputs[0] is not None:
        return node.inputs[0].dtype == ir.DataType.BOOL and node.outputs[0].dtype == ir.DataType.FLOAT
    return node.domain == DOMAIN and node.op_type in MAKERS


def bit_inputs(model: ir.Model) -> Iterator[ir.Value]:
    """The float inputs of a model that must be bits, since gates read them as such."""
    for value in model.graph.inputs:
        if value.dtype == ir.DataType.FLOAT and reaches_gates(value):
            yield value


def reaches_gates(value: ir.Value) -> bool:
    """Whether moves, or pools of bits, alone lie between ``value`` and gates."""
    waiting, met = [value], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        met.add(value)
        for node, _ in value.uses():
            if node.domain == DOMAIN and node.op_type in READERS:
                return True
            if node.domain == "" and node.op_type in MOVES:
                waiting += [v for v in node.outputs if v not in met]
    return False


def is_count(value: ir.Value) -> bool:
    """Whether ``value`` is a GroupSum's that only outputs and ArgMax read."""
    node = value.producer()
    if node is None or (node.domain, node.op_type) != (DOMAIN, "GroupSum"):
        return False
    return all(reader.op_type == "ArgMax" for reader, _ in value.uses())


def is_compared(value: ir.Value) -> bool:
    """Whether ``value`` is an input whose only reader is a Threshold: its edge."""
    users = {id(n): n for n, _ in value.uses()}
    if len(users) != 1 or not value.is_graph_input() or value.is_graph_output():
        return False
    (node,) = users.values()
    return (node.domain, node.op_type) == (DOMAIN, "Threshold")
