"""What holds for every graph, at any stage: an order that runs, names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgegate.errors import Problem
from edgegate.graph import where


def order(model: ir.Model) -> Iterator[Problem]:
    """Nodes that read what nothing before them makes, outputs that nothing makes."""
    known = {*model.graph.inputs}
    known.update(v for v in model.graph.initializers.values() if v.const_value is not None)
    for node in model.graph:
        for value in node.inputs:
            if value is not None and value not in known:
                what = f"reads {value.name}, which nothing before it makes"
                yield Problem(where=where(node), what=what, fix="sort the nodes, keep what is read")
        known.update(node.outputs)
    for value in model.graph.outputs:
        if value not in known:
            yield Problem(where=f"output {value.name}", what="is made by no node", fix="keep what is read")


def names(model: ir.Model) -> Iterator[Problem]:
    """Values without a name of their own."""
    met: set[str] = set()
    for value in values(model):
        if not value.name or value.name in met:
            yield Problem(where=f"value {value.name!r}", what="is no name of its own", fix="give it a unique name")
        met.add(value.name or "")


def values(model: ir.Model) -> Iterator[ir.Value]:
    """Every value of the main graph; outputs that a node leaves out have no name and no reader."""
    yield from model.graph.inputs
    yield from (v for v in model.graph.initializers.values() if not v.is_graph_input())
    for node in model.graph:
        yield from (v for v in node.outputs if v.name or v.uses() or v.is_graph_output())
