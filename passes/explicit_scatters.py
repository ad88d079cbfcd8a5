"""ScatterND at constant places is a choice of rows: of the data where nothing is put, and of the updates elsewhere.

torch exports an assignment to a slice (``keys[..., :8] = rotated``) as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, insert, matches, replace, shape


def explicit_scatters(model: ir.Model) -> None:
    """Write each ScatterND whose indices are constant as a Gather of rows; of several at a place the last stays.

    Where they are computed, and the data has one axis, it is a ScatterElements.
    """
    for node in matches(model, "ScatterND"):
        indices = array(node.inputs[1])
        if attribute(node, "reduction", "none") != "none":
            continue
        if indices is not None:
            _rewrite(model, node, indices)
        elif node.inputs[0] is not None and len(shape(node.inputs[0])) == 1:
            _along(model, node)


def _along(model: ir.Model, node: ir.Node) -> None:
    """Single elements put into a row at places that are computed: ScatterElements, which has integers for that."""
    data, indices, updates = node.inputs
    assert indices is not None and updates is not None, "ScatterND has all its inputs"
    dims, name, output = shape(updates), str(node.outputs[0].name), node.outputs[0]
    count = prod(dims)
    places = _reshaped(model, node, indices, (count,), f"{name}.places")
    put = _reshaped(model, node, updates, (count,), f"{name}.updates") if len(dims) != 1 else updates
    assert output.dtype is not None, "every value has a type"
    made = insert(
        node, "ScatterElements", [data, places, put], {"axis": 0, "reduction": "none"}, domain="",
        name=f"{name}.scattered", dtype=output.dtype, dims=shape(output),
    )  # fmt: skip
    replace(node, made)


def _rewrite(model: ir.Model, node: ir.Node, indices: Array) -> None:
    data, updates, output = node.inputs[0], node.inputs[2], node.outputs[0]
    assert data is not None and updates is not None and output.dtype is not None, "ScatterND has all its inputs"
    dims, name, depth = shape(data), str(output.name), indices.shape[-1]
    rows, rest = prod(dims[:depth]), prod(dims[depth:])
    strides = np.array([prod(dims[i + 1 : depth]) for i in range(depth)], np.int64)
    places: Array = (indices % np.array(dims[:depth], np.int64)).reshape(-1, depth) @ strides
    source = np.arange(rows)
    source[places] = rows + np.arange(len(places))
    whole = _reshaped(model, node, updates, (len(places), rest), f"{name}.updates")
    if (source < rows).any():
        kept = _reshaped(model, node, data, (rows, rest), f"{name}.data")
        whole = insert(
            node, "Concat", [kept, whole], {"axis": 0}, domain="", name=f"{name}.both", dtype=output.dtype,
            dims=(rows + len(places), rest),
        )  # fmt: skip
    else:
        source -= rows
    index = constant(model, f"{name}.rows", source.astype(np.int64))
    picked = insert(
        node, "Gather", [whole, index], {"axis": 0}, domain="", name=f"{name}.picked", dtype=output.dtype,
        dims=(rows, rest),
    )  # fmt: skip
    replace(node, _reshaped(model, node, picked, dims, f"{name}.scattered"))


def _reshaped(model: ir.Model, anchor: ir.Node, x: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    assert x.dtype is not None, "every value has a type"
    target = constant(model, f"{name}.dims", np.array(dims, np.int64))
    return insert(
        anchor, "Reshape", [x, target], {"allowzero": 0}, domain="", name=name, dtype=x.dtype, dims=dims
    )  # fmt: skip
