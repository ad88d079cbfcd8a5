"""Elements picked and put by places that are computed at run time: embeddings, routes, experts.

An index means what ONNX says: negative ones count from the end of the axis. One that lies on no element is the
nearest, first or last, since a program has nothing to refuse it with. Where the range of the indices shows that
neither can be, nothing is emitted for it.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, match
from edgegate.passes.to_integer._storages import Exact
from edgegate.passes.to_integer.exact import keep, number, within

INT64 = ir.DataType.INT64


def on_axis(lowering: Lowering, x: Stored, size: int) -> Stored:
    """Indices of an axis of ``size``, all from 0 on."""
    x = within(lowering, x, -size, size - 1)
    if x.storage.low >= 0:
        return x
    name, kind = f"{x.value.name}.wrapped", x.value.dtype
    assert kind is not None, "stored values have a type"
    test = lowering.emit("Less", [x.value, number(lowering, x, 0)], name, ir.DataType.BOOL, x.dims, domain="")
    turned = lowering.emit("Add", [x.value, number(lowering, x, size)], name, kind, x.dims, domain="")
    # Both ends are inside; what stands on the other side of the test is not picked, but counts for the proof.
    value = lowering.emit("Where", [test, turned, x.value], name, kind, x.dims, domain="")
    wrapped = replace(x, value=value, storage=Exact(dtype=x.storage.dtype, least=-size, most=2 * size - 1))
    return within(lowering, wrapped, 0, size - 1)


def _indices(lowering: Lowering, value: ir.Value | None, size: int, order: tuple[int, ...] | None = None) -> Stored:
    """The stored indices of an axis, in their own order of axes if none is given."""
    assert value is not None, "indices are never optional"
    x = lowering.stored(value, range(len(shape(value))) if order is None else order)
    if not isinstance(x.storage, Exact):
        raise NotLowerable(f"its indices {value.name} are no integers", "index with integers")
    return on_axis(lowering, x, size)


def gather(lowering: Lowering, node: ir.Node) -> None:
    """Gather along one axis, which gives way to the axes of the indices: rows of an embedding, weights of experts."""
    source = node.inputs[0]
    assert source is not None, "a data input is never optional"
    rank = len(shape(source))
    x, axis = lowering.stored(source, range(rank), whole=True), int(attribute(node, "axis", 0)) % rank
    index = _indices(lowering, node.inputs[1], x.dims[axis])
    _emit(lowering, node, x, "Gather", [index.value], {"axis": axis})


def gather_elements(lowering: Lowering, node: ir.Node) -> None:
    """GatherElements: for each place of the indices an element of its own."""
    source = node.inputs[0]
    assert source is not None, "a data input is never optional"
    rank = len(shape(source))
    x, axis = lowering.stored(source, range(rank), whole=True), int(attribute(node, "axis", 0)) % rank
    index = _indices(lowering, node.inputs[1], x.dims[axis])
    _emit(lowering, node, x, "GatherElements", [index.value], {"axis": axis})


def _emit(
    lowering: Lowering, node: ir.Node, x: Stored, op: str, more: list[ir.Value], attributes: dict[str, int]
) -> None:
    """The node on ``x``, whose result is stored as that is."""
    output, dims = node.outputs[0], shape(node.outputs[0])
    kind = x.value.dtype
    assert kind is not None, "stored values have a type"
    value = lowering.emit(op, [x.value, *more], f"{output.name}.picked", kind, dims, attributes, domain="")
    _moved(lowering, output, Stored(value=value, storage=x.storage, order=tuple(range(len(dims)))))


def _moved(lowering: Lowering, output: ir.Value, x: Stored) -> None:
    exact = isinstance(x.storage, Exact)
    lowering.keep(output, x if exact else match(lowering, x, lowering.storage(output), str(output.name)))


def gather_nd(lowering: Lowering, node: ir.Node) -> None:
    """GatherND: the leading axes are one, along which a single index picks."""
    source, output, given = node.inputs[0], node.outputs[0], node.inputs[1]
    assert source is not None and given is not None, "data inputs are never optional"
    if int(attribute(node, "batch_dims", 0)):
        raise NotLowerable("it has batch axes", "index one axis after the other")
    dims, count = shape(source), shape(given)[-1]
    x = lowering.stored(source, range(len(dims)), whole=True)
    data = array(given)
    if data is not None:
        strides = np.array([prod(dims[i + 1 : count]) for i in range(count)], np.int64)
        index = lowering.constant(f"{output.name}.rows", (data % np.array(dims[:count], np.int64)) @ strides)
    else:
        index = _flat(lowering, lowering.stored(given, range(len(shape(given)))), dims[:count], str(output.name))
    joined = [prod(dims[:count]), *dims[count:]]
    kind = x.value.dtype
    assert kind is not None, "stored values have a type"
    inputs = [x.value, lowering.ints("dims", joined)]
    flat = lowering.emit("Reshape", inputs, f"{output.name}.joined", kind, joined, {"allowzero": 0}, domain="")
    _emit(lowering, node, replace(x, value=flat, order=tuple(range(len(joined)))), "Gather", [index], {"axis": 0})


def _flat(lowering: Lowering, x: Stored, sizes: tuple[int, ...], name: str) -> ir.Value:
    """One index for those along the last axis of ``x``, row-major."""
    dims, total = list(x.dims[:-1]), None
    kind = x.value.dtype
    assert kind is not None, "stored values have a type"
    for i, size in enumerate(sizes):
        at = lowering.ints("at", [i])
        picked = lowering.emit("Gather", [x.value, at], f"{name}.at", kind, [*dims, 1], {"axis": len(dims)}, domain="")
        one = lowering.emit(
            "Reshape", [picked, lowering.ints("dims", dims)], f"{name}.at", kind, dims, {"allowzero": 0}, domain=""
        )
        part = on_axis(lowering, Stored(value=one, storage=x.storage, order=tuple(range(len(dims)))), size).value
        stride = number(lowering, x, prod(sizes[i + 1 :]))
        part = lowering.emit("Mul", [part, stride], f"{name}.step", kind, dims, domain="")
        total = part if total is None else lowering.emit("Add", [total, part], f"{name}.sum", kind, dims, domain="")
    assert total is not None, "there is an index"
    return total


def top_k(lowering: Lowering, node: ir.Node) -> None:
    """TopK on what is stored: storage keeps the order, so equal values only tie more often."""
    source, count = node.inputs[0], array(node.inputs[1])
    assert source is not None, "a data input is never optional"
    if count is None:
        raise NotLowerable("how many it takes is computed at run time", "make k a constant of the model")
    rank = len(shape(source))
    x = lowering.stored(source, range(rank), whole=True)
    axis, name = int(attribute(node, "axis", -1)) % rank, str(node.outputs[0].name)
    settings = {"axis": axis, "largest": int(attribute(node, "largest", 1)), "sorted": 1}
    kind = x.value.dtype
    assert kind is not None, "stored values have a type"
    made = [(f"{name}.picked", kind, shape(node.outputs[0])), (f"{name}.places", INT64, shape(node.outputs[1]))]
    inputs = [x.value, lowering.ints(f"{name}.k", [int(count.reshape(-1)[0])])]
    values, places = lowering.emit_many("TopK", inputs, made, settings, domain="")
    order = tuple(range(rank))
    _moved(lowering, node.outputs[0], Stored(value=values, storage=x.storage, order=order))
    storage = Exact(dtype="int64", least=0, most=x.dims[axis] - 1)
    lowering.keep(node.outputs[1], Stored(value=places, storage=storage, order=order))


def arg_extreme(lowering: Lowering, node: ir.Node) -> None:
    """ArgMax and ArgMin: of equal values the lowest place. Storage keeps the order, but equal values tie more often."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    if attribute(node, "select_last_index", 0):
        raise NotLowerable("of equal values it takes the last", "take the first, as torch.argmax does")
    rank = len(shape(source))
    x, axis = lowering.stored(source, range(rank), whole=True), int(attribute(node, "axis", 0)) % rank
    name, kind, made = str(output.name), x.value.dtype, shape(output)
    assert kind is not None, "stored values have a type"
    data = x.value
    if kind == ir.DataType.INT16 or node.op_type == "ArgMin":  # which ONNX Runtime has for 8 and 32 bits
        wide = INT64 if kind == INT64 else ir.DataType.INT32
        data = lowering.emit("Cast", [data], f"{name}.wide", wide, x.dims, {"to": wide}, domain="")
        if node.op_type == "ArgMin":
            zero = lowering.constant(f"{name}.zero", np.array(0, wide.numpy()))
            data = lowering.emit("Sub", [zero, data], f"{name}.turned", wide, x.dims, domain="")
    settings = {"axis": axis, "keepdims": int(attribute(node, "keepdims", 1))}
    value = lowering.emit("ArgMax", [data], name, INT64, made, settings, domain="")
    keep(lowering, node, value, range(len(made)), 0, x.dims[axis] - 1)


def scatter_elements(lowering: Lowering, node: ir.Node) -> None:
    """ScatterElements: elements put along one axis; both kinds in the storage of the result."""
    output, reduction = node.outputs[0], str(attribute(node, "reduction", "none"))
    if reduction != "none":
        raise NotLowerable(f"it puts by {reduction}", "make a mask of the places, and a product with it")
    dims, name = shape(output), str(output.name)
    order, axis = tuple(range(len(dims))), int(attribute(node, "axis", 0)) % len(dims)
    x, updates = (lowering.stored(node.inputs[i], order, whole=True) for i in (0, 2))
    if not isinstance(x.storage, Exact):
        target = lowering.storage(output)
        x, updates = (match(lowering, v, target, f"{name}.{i}") for i, v in enumerate((x, updates)))
    kind = ir.DataType(x.value.dtype or dtype_of(x.storage))
    index = _indices(lowering, node.inputs[1], dims[axis])
    settings = {"axis": axis, "reduction": "none"}
    given = [x.value, index.value, updates.value]
    value = lowering.emit("ScatterElements", given, name, kind, dims, settings, domain="")
    lowering.keep(output, Stored(value=value, storage=x.storage, order=order))
