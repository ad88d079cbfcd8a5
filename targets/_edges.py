"""Where an integer model meets the outside: the stored values behind its float inputs and outputs."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.stages.edges import ENTRIES, EXITS, is_edge

__all__ = ["inputs_of", "is_edge", "outputs_of"]


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
