"""Masks of minus infinity inside sums go to their outside: to the maximum or the exponential that they are for.

mLSTM's gates of a chunk are such sums: what lies ahead is hidden before the input gates are added, then the greatest of
each row is taken off, and exponentials are all that is left (Beck et al., "xLSTM", 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, insert, matches, replace, shape
from edgegate.passes._rewrite import is_float, put
from edgegate.passes.drop_unused import drop_unused

ENDS = ("ReduceMax", "Exp")
"""Ops for which infinity is no number of its own: what is hidden is not the greatest, and its exponential is 0."""


def outer_masks(model: ir.Model) -> None:
    """Write a Where between x and -inf without it, as far as sums, maxima and exponentials read it.

    ``Where(keep, x, -inf) + y`` is ``Where(keep, x + y, -inf)``. In the places that are hidden a maximum finds the
    least of the row, and so does an Exp, behind which they become zero: nothing is beyond the range of what is kept.
    """
    waiting = [n for n in matches(model, "Where") if _hidden(n) and _keeps(n) and _ends(n.outputs[0])]
    while waiting:
        node = waiting.pop()
        for reader, index in list(node.outputs[0].uses()):
            if reader.op_type in ENDS:
                _least_instead(model, node, reader)
            elif reader.op_type in ("Add", "Sub"):
                waiting.append(_outside(node, reader, index))
    drop_unused(model)


def _hidden(node: ir.Node) -> int:
    """Which input of a Where is -inf; 0 if none is."""
    if not is_float(node.outputs[0]):
        return 0
    infinite = [
        (data := array(v)) is not None and data.size == 1 and bool(np.isneginf(data).all()) for v in node.inputs
    ]
    return infinite.index(True, 1) if sum(infinite[1:]) == 1 else 0


def _keeps(node: ir.Node) -> bool:
    """Whether it is known that something is kept of each row along the last axis: else its maximum is none."""
    keep = array(node.inputs[0])
    if keep is None or not keep.ndim or keep.shape[-1:] != shape(node.outputs[0])[-1:]:
        return False
    return bool((keep if _hidden(node) == 2 else ~keep).any(-1).all())


def _in_its_place(mask: ir.Node, x: ir.Value, hidden: ir.Value | None) -> list[ir.Value | None]:
    """The inputs of a Where as ``mask``, of other values."""
    return [mask.inputs[0], x, hidden] if _hidden(mask) == 2 else [mask.inputs[0], hidden, x]


def _ends(value: ir.Value) -> bool:
    """Whether sums lead from ``value`` to maxima and exponentials alone, and a sum or a maximum is among them."""
    readers = list(value.uses())
    if not readers or value.is_graph_output():
        return False
    for node, index in readers:
        if node.op_type == "ReduceMax" and not _along_rows(node):
            return False
        summed = (node.op_type == "Add" or (node.op_type == "Sub" and index == 0)) and _ends_in_one(node.outputs[0])
        if node.domain or not (node.op_type in ENDS or summed):
            return False
    return any(node.op_type != "Exp" for node, _ in readers)


def _along_rows(node: ir.Node) -> bool:
    """Whether the last axis is among those that a ReduceMax goes over."""
    axes, source = array(node.inputs[1]) if len(node.inputs) > 1 else None, node.inputs[0]
    assert source is not None, "a data input is never optional"
    return axes is not None and len(shape(source)) - 1 in axes % len(shape(source))


def _ends_in_one(value: ir.Value) -> bool:
    return _ends(value) or (
        not value.is_graph_output() and bool(value.uses()) and all(n.op_type == "Exp" for n, _ in value.uses())
    )


def _least_instead(model: ir.Model, mask: ir.Node, reader: ir.Node) -> None:
    """The greatest of what is kept, which is at least the least of all; or exponentials of what is kept."""
    x, name = mask.inputs[3 - _hidden(mask)], str(reader.outputs[0].name)
    dtype, dims = mask.outputs[0].dtype, shape(mask.outputs[0])
    assert x is not None and dtype is not None, "a Where has its inputs"
    given = reader.inputs[1] if reader.op_type != "Exp" else constant(model, f"{name}.axes", np.array([-1]))
    axes = array(given)
    assert axes is not None, "they were looked at before"
    over = [int(a) % len(dims) for a in axes.reshape(-1)]
    whole = x if shape(x) == dims else _spread(model, reader, x, dims, f"{name}.whole")
    least = insert(
        reader, "ReduceMin", [whole, given], {"keepdims": 1}, domain="", name=f"{name}.least", dtype=dtype,
        dims=[1 if axis in over else size for axis, size in enumerate(dims)],
    )  # fmt: skip
    parts = _in_its_place(mask, whole, least)
    reader.replace_input_with(
        0, insert(reader, "Where", parts, domain="", name=f"{name}.filled", dtype=dtype, dims=dims)
    )
    if reader.op_type == "Exp":
        kept = insert(reader, "Exp", [reader.inputs[0]], domain="", name=f"{name}.kept", dtype=dtype, dims=dims)
        zero = constant(model, f"{name}.zero", np.zeros((), dtype.numpy()))
        put(reader, "Where", _in_its_place(mask, kept, zero))


def _spread(model: ir.Model, anchor: ir.Node, x: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    """``x`` in the shape ``dims``: a maximum counts the axes of what it reads."""
    assert x.dtype is not None, "every value has a type"
    target = constant(model, f"{name}.dims", np.array(dims, np.int64))
    return insert(anchor, "Expand", [x, target], domain="", name=name, dtype=x.dtype, dims=dims)


def _outside(mask: ir.Node, reader: ir.Node, index: int) -> ir.Node:
    """The sum without the mask, and the mask around it; gives that."""
    output, inputs = reader.outputs[0], list(reader.inputs)
    place = _hidden(mask)
    assert output.dtype is not None, "every value has a type"
    inputs[index], name, dims = mask.inputs[3 - place], str(output.name), shape(output)
    parts = np.broadcast_shapes(*(shape(v) for v in inputs if v is not None))
    total = insert(reader, reader.op_type, inputs, domain="", name=f"{name}.seen", dtype=output.dtype, dims=parts)
    around = _in_its_place(mask, total, mask.inputs[place])
    masked = insert(reader, "Where", around, domain="", name=f"{name}.masked", dtype=output.dtype, dims=dims)
    replace(reader, masked)
    made = masked.producer()
    assert made is not None, "it was just made"
    return made
