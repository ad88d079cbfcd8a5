"""Ops that move values: the stored values move as they are, in the order of axes that they have."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, match


def _keep(lowering: Lowering, output: ir.Value, moved: Stored) -> None:
    """Declare a moved value, rescaled where the scheme wants another storage."""
    lowering.keep(output, match(lowering, moved, lowering.storage(output), str(output.name)))


def reshape(lowering: Lowering, node: ir.Node) -> None:
    """Reshape, in the float graph's order of axes."""
    output = node.outputs[0]
    source = node.inputs[0]
    assert source is not None, "Reshape has an input"
    dims = shape(output)
    x = lowering.stored(source, tuple(range(len(shape(source)))))
    target = lowering.ints("dims", dims)
    value = lowering.emit(
        "Reshape", [x.value, target], f"{output.name}.moved", dtype_of(x.storage), dims, {"allowzero": 0}, domain=""
    )  # fmt: skip
    _keep(lowering, output, Stored(value=value, storage=x.storage, order=tuple(range(len(dims)))))


def transpose(lowering: Lowering, node: ir.Node) -> None:
    """Transpose: the stored value stays where it is; its axes are other float axes from here on."""
    x = lowering.stored(node.inputs[0])
    perm = list(attribute(node, "perm", range(len(x.order))[::-1]))
    order = tuple(perm.index(a) for a in x.order)
    _keep(lowering, node.outputs[0], Stored(value=x.value, storage=x.storage, order=order))


def concat(lowering: Lowering, node: ir.Node) -> None:
    """Concat, every part in the output's storage."""
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    first = lowering.stored(node.inputs[0])
    parts = [lowering.stored(v, first.order) for v in node.inputs]
    matched = [match(lowering, p, target, f"{name}.part{i}") for i, p in enumerate(parts)]
    dims = [shape(output)[a] for a in first.order]
    axis = first.axis(int(attribute(node, "axis")))
    value = lowering.emit(
        "Concat", [m.value for m in matched], name, dtype_of(target), dims, {"axis": axis}, domain=""
    )  # fmt: skip
    lowering.keep(output, Stored(value=value, storage=target, order=first.order))


def split(lowering: Lowering, node: ir.Node) -> None:
    """Split along one axis."""
    x = lowering.stored(node.inputs[0])
    axis = x.axis(int(attribute(node, "axis", 0)))
    outputs = [(f"{o.name}.moved", dtype_of(x.storage), [shape(o)[a] for a in x.order]) for o in node.outputs]
    sizes = lowering.ints("sizes", [dims[axis] for _, _, dims in outputs])
    values = lowering.emit_many("Split", [x.value, sizes], outputs, {"axis": axis}, domain="")
    for output, value in zip(node.outputs, values, strict=True):
        _keep(lowering, output, Stored(value=value, storage=x.storage, order=x.order))


def gather(lowering: Lowering, node: ir.Node) -> None:
    """Gather with a constant list of indices along one axis."""
    indices = array(node.inputs[1])
    if indices is None or indices.ndim != 1:
        raise NotLowerable("its indices are computed at run time, or no list", "use a constant list of indices")
    x, output = lowering.stored(node.inputs[0]), node.outputs[0]
    axis = x.axis(int(attribute(node, "axis", 0)))
    dims = [shape(output)[a] for a in x.order]
    chosen = lowering.constant(f"{output.name}.indices", indices.astype("int64"))
    value = lowering.emit(
        "Gather", [x.value, chosen], f"{output.name}.moved", dtype_of(x.storage), dims, {"axis": axis}, domain=""
    )  # fmt: skip
    _keep(lowering, output, Stored(value=value, storage=x.storage, order=x.order))
