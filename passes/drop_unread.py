"""What no output of the integer graph depends on goes."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgegate.stages.edges import is_entry


def drop_unread(model: ir.Model) -> None:
    """Remove nodes, initializers and functions that no graph output depends on.

    The edge of a graph input stays even if nothing reads it: it says how the input is stored.
    """
    for node in reversed(list(model.graph)):
        read = any(v.uses() or v.is_graph_output() for v in node.outputs)
        if not read and not is_entry(node):
            model.graph.remove(node, safe=True)
    for name, value in list(model.graph.initializers.items()):
        if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
            del model.graph.initializers[name]
    common.RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]
