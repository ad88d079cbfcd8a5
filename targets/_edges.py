"""Where an integer model meets the outside: the stored values behind its float inputs and outputs."""

from __future__ import annotations

import onnx_ir as ir

ENTRY, EXIT = EDGES = ("QuantizeLinear", "DequantizeLinear")


def is_edge(node: ir.Node) -> bool:
    """Whether the node converts between float and stored integers."""
    return node.domain == "" and node.op_type in EDGES


def inputs_of(model: ir.Model) -> list[ir.Value]:
    """The stored value of every graph input, in order: what its QuantizeLinear makes, or the input itself."""
    stored = []
    for value in model.graph.inputs:
        readers = [n for n, _ in value.uses() if is_edge(n) and n.op_type == ENTRY]
        stored.append(readers[0].outputs[0] if readers else value)
    return stored


def outputs_of(model: ir.Model) -> list[ir.Value]:
    """The stored value of every graph output, in order: what its DequantizeLinear reads, or the output itself."""
    stored = []
    for value in model.graph.outputs:
        node = value.producer()
        source = node.inputs[0] if node is not None and is_edge(node) and node.op_type == EXIT else value
        assert source is not None, "an edge has an input"
        stored.append(source)
    return stored
