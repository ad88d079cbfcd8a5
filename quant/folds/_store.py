"""New constants in the place of old ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A constant input of a node, and what it shall hold: float64 until it is stored."""

    node: ir.Node
    index: int
    data: Array


def wide(node: ir.Node, index: int) -> Array:
    """A constant input as float64."""
    data = array(node.inputs[index])
    assert data is not None, "only constants are revised"
    return data.astype(np.float64)


def stored(revisions: list[Revision]) -> list[Revision] | None:
    """The same in the constants' own dtypes; None if one of them cannot hold a number of them."""
    found = []
    for revision in revisions:
        old = array(revision.node.inputs[revision.index])
        assert old is not None, "only constants are revised"
        with np.errstate(over="ignore", invalid="ignore"):
            data = revision.data.astype(old.dtype)
        vanished = (data == 0) & (revision.data != 0)
        if not np.isfinite(data[np.isfinite(revision.data)]).all() or vanished.any():
            return None
        found.append(Revision(node=revision.node, index=revision.index, data=data))
    return found


def store(model: ir.Model, revisions: list[Revision]) -> None:
    """Give each node its new constant.

    A constant that the node alone reads keeps its name; other readers of one keep the old data.
    """
    for revision in revisions:
        node, index = revision.node, revision.index
        old = node.inputs[index]
        assert old is not None and old.name is not None, "constants have names"
        name = old.name
        if len(old.uses()) == 1 and not old.is_graph_output():
            node.replace_input_with(index, None)
            del model.graph.initializers[name]
        node.replace_input_with(index, constant(model, name, revision.data))
