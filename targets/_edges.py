"""Where an integer model meets the outside: the stored values behind its float inputs and outputs."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.stages.edges import ENTRIES, EXITS, is_edge

__all__ = ["inputs_of", "is_bits", "is_edge", "outputs_of"]

MOVES = ("Reshape", "Transpose", "Concat", "Split", "Gather")


def inputs_of(model: ir.Model) -> list[ir.Value]:
    """The stored value of every graph input, in order: what its edge makes, or the input itself."""
    stored = []
    for value in model.graph.inputs:
        readers = [n for n, _ in value.uses() if is_edge(n) and n.op_type in ENTRIES]
        stored.append(readers[0].outputs[0] if readers else value)
    return stored


def outputs_of(model: ir.Model) -> list[ir.Value]:
    """The stored value of every graph output, in order: what its edge reads, or the output itself."""
    stored = []
    for value in model.graph.outputs:
        node = value.producer()
        source = node.inputs[0] if node is not None and is_edge(node) and node.op_type in EXITS else value
        assert source is not None, "an edge has an input"
        stored.append(source)
    return stored


def is_bits(value: ir.Value) -> bool:
    """Whether a stored input is bits: a Threshold makes them, or moves aside only networks of gates read them."""
    node = value.producer()
    if node is not None and node.op_type == "Threshold":
        return True
    waiting, met = [value], {value}
    while waiting:
        for reader, _ in waiting.pop().uses():
            if reader.op_type == "Logic":
                continue
            if reader.domain or reader.op_type not in MOVES:
                return False
            more = [v for v in reader.outputs if v not in met]
            waiting += more
            met.update(more)
    return bool(value.uses()) and value.dtype in (ir.DataType.UINT8, ir.DataType.BOOL)
