"""Ops that move values: the stored values move as they are, in the order of axes that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer import indices as by_run_time
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Wide
from edgegate.passes.to_integer._scaling import dtype_of, match
from edgegate.passes.to_integer.elements import raised


def _keep(lowering: Lowering, output: ir.Value, moved: Stored) -> None:
    """Declare a moved value, rescaled where the scheme wants another storage; one of 32 bits stays as it is."""
    wide = isinstance(moved.storage, Wide)
    stored = moved if wide else match(lowering, moved, lowering.storage(output), str(output.name))
    lowering.keep(output, stored)


def identity(lowering: Lowering, node: ir.Node) -> None:
    """A value under another name: what is left of one that is an output twice, or is an input as it came."""
    _keep(lowering, node.outputs[0], lowering.stored(node.inputs[0], whole=True))


def reshape(lowering: Lowering, node: ir.Node) -> None:
    """Reshape: axes that are split or joined stay where they are stored, so far as their neighbours allow."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "Reshape has an input"
    if 0 in shape(output):
        raise NotLowerable("it makes an empty value", "leave it out")
    x = lowering.stored(source, whole=True)
    groups = sorted(_groups(shape(source), shape(output)), key=lambda g: _place(x, g[0]))
    x = lowering.stored(source, [a for before, _ in groups for a in before], whole=True)
    order = tuple(a for _, after in groups for a in after)
    dims = [shape(output)[a] for a in order]
    target = lowering.ints("dims", dims)
    value = lowering.emit(
        "Reshape", [x.value, target], f"{output.name}.moved", dtype_of(x.storage), dims, {"allowzero": 0}, domain=""
    )  # fmt: skip
    _keep(lowering, output, Stored(value=value, storage=x.storage, order=order))


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The least groups of neighbouring axes with equal products, as (axes before, axes after)."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        start, begin = i, j
        i, j = i + 1, j + 1
        while (a := prod(before[start:i])) != (b := prod(after[begin:j])):
            i, j = i + (a < b), j + (a > b)
        found.append((list(range(start, i)), list(range(begin, j))))
    rest = (list(range(i, len(before))), list(range(j, len(after))))  # axes of size one
    if not found:
        return [rest]
    return [*found[:-1], (found[-1][0] + rest[0], found[-1][1] + rest[1])]


def _place(x: Stored, axes: Sequence[int]) -> int:
    """Where the first of these float axes that is longer than one is stored."""
    spots = [x.axis(a) for a in axes]
    return next((s for s in spots if x.dims[s] > 1), spots[0] if spots else 0)


def transpose(lowering: Lowering, node: ir.Node) -> None:
    """Transpose: the stored value stays where it is; its axes are other float axes from here on."""
    x = lowering.stored(node.inputs[0], whole=True)
    perm = list(attribute(node, "perm", range(len(x.order))[::-1]))
    order = tuple(perm.index(a) for a in x.order)
    _keep(lowering, node.outputs[0], Stored(value=x.value, storage=x.storage, order=order))


def concat(lowering: Lowering, node: ir.Node) -> None:
    """Concat, every part in the output's storage."""
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    first = lowering.stored(node.inputs[0], whole=True)
    parts = [lowering.stored(v, first.order, whole=True) for v in node.inputs]
    matched = [match(lowering, p, target, f"{name}.part{i}") for i, p in enumerate(parts)]
    dims = [shape(output)[a] for a in first.order]
    axis = first.axis(int(attribute(node, "axis")))
    value = lowering.emit(
        "Concat", [m.value for m in matched], name, dtype_of(target), dims, {"axis": axis}, domain=""
    )  # fmt: skip
    lowering.keep(output, Stored(value=value, storage=target, order=first.order))


def split(lowering: Lowering, node: ir.Node) -> None:
    """Split along one axis."""
    x = lowering.stored(node.inputs[0], whole=True)
    axis = x.axis(int(attribute(node, "axis", 0)))
    outputs = [(f"{o.name}.moved", dtype_of(x.storage), [shape(o)[a] for a in x.order]) for o in node.outputs]
    sizes = lowering.ints("sizes", [dims[axis] for _, _, dims in outputs])
    values = lowering.emit_many("Split", [x.value, sizes], outputs, {"axis": axis}, domain="")
    for output, value in zip(node.outputs, values, strict=True):
        _keep(lowering, output, Stored(value=value, storage=x.storage, order=x.order))


def gather(lowering: Lowering, node: ir.Node) -> None:
    """Gather with constant indices along one axis, which gives way to the axes of the indices."""
    indices = array(node.inputs[1])
    if indices is None:
        return by_run_time.gather(lowering, node)
    x, output = lowering.stored(node.inputs[0], whole=True), node.outputs[0]
    axis = int(attribute(node, "axis", 0)) % len(x.order)
    size = x.dims[x.axis(axis)]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise NotLowerable(f"its indices leave an axis of {size}", "keep them inside")
    moved = _pick(lowering, x, {axis: indices.reshape(-1) % size}, str(output.name))
    return _keep(lowering, output, moved if indices.ndim == 1 else _unfolded(lowering, moved, axis, indices.shape))


def _unfolded(lowering: Lowering, x: Stored, axis: int, sizes: Sequence[int]) -> Stored:
    """``x`` with axes of these sizes, maybe none, in the place of one float axis."""
    more, order, dims = len(sizes) - 1, list[int](), list[int]()
    for a, d in zip(x.order, x.dims, strict=True):
        order += range(axis, axis + len(sizes)) if a == axis else [a + more * (a > axis)]
        dims += sizes if a == axis else [d]
    inputs = [x.value, lowering.ints("dims", dims)]
    name = f"{x.value.name}.taken"
    value = lowering.emit("Reshape", inputs, name, dtype_of(x.storage), dims, {"allowzero": 0}, domain="")
    return Stored(value=value, storage=x.storage, order=tuple(order))


def _pick(lowering: Lowering, x: Stored, indices: Mapping[int, Array], name: str) -> Stored:
    """``x`` with, along each float axis named, the elements of these indices."""
    value, dims = x.value, list(x.dims)
    for axis, index in indices.items():
        at = x.axis(axis)
        if np.array_equal(index, np.arange(dims[at])):
            continue
        dims[at] = len(index)
        chosen = lowering.constant(f"{name}.indices", index.astype(np.int64))
        value = lowering.emit(
            "Gather", [value, chosen], f"{name}.moved", dtype_of(x.storage), dims, {"axis": at}, domain=""
        )  # fmt: skip
    return Stored(value=value, storage=x.storage, order=x.order)


def _constants(node: ir.Node, *, first: int = 1) -> list[Array | None]:
    """The node's inputs from ``first`` on; NotLowerable if one is computed at run time."""
    found = [array(v) for v in node.inputs[first:]]
    if any(v is not None and data is None for v, data in zip(node.inputs[first:], found, strict=True)):
        raise NotLowerable("what it does is computed at run time", "make its indices and sizes constants")
    return [*found, None, None, None, None]


def slice_(lowering: Lowering, node: ir.Node) -> None:
    """Slice with constant limits, any step."""
    x, output = lowering.stored(node.inputs[0], whole=True), node.outputs[0]
    starts, ends, axes, steps = _constants(node)[:4]
    assert starts is not None and ends is not None, "ONNX requires them"
    over = range(len(starts)) if axes is None else axes.tolist()
    pace = [1] * len(starts) if steps is None else steps.tolist()
    indices = {}
    for axis, start, end, step in zip(over, starts.tolist(), ends.tolist(), pace, strict=True):
        size = x.dims[x.axis(axis)]
        indices[axis] = np.arange(size)[slice(start, end if step > 0 or end >= -size else None, step)]
    _keep(lowering, output, _pick(lowering, x, indices, str(output.name)))


def pad(lowering: Lowering, node: ir.Node) -> None:
    """Pad by a constant, which is stored as the input is, or by elements of the input."""
    x, output, mode = (
        lowering.stored(node.inputs[0], whole=True),
        node.outputs[0],
        str(attribute(node, "mode", "constant")),
    )
    pads, fill, axes = _constants(node)[:3]
    assert pads is not None, "ONNX requires them"
    rank, name = len(x.order), str(output.name)
    over = range(rank) if axes is None else [int(a) % rank for a in axes.tolist()]
    ends = dict(zip(over, np.asarray(pads).reshape(2, -1).T.tolist(), strict=True))
    kept = {a: (min(b, 0), min(e, 0)) if mode == "constant" else (b, e) for a, (b, e) in ends.items()}
    indices = {a: _reach(x.dims[x.axis(a)], before, after, mode) for a, (before, after) in kept.items()}
    moved = _pick(lowering, x, indices, name)
    if mode == "constant":
        number = 0.0 if fill is None else float(fill.reshape(()))
        for axis, both in ends.items():
            moved = _surround(lowering, moved, axis, [max(e, 0) for e in both], number, name)
    _keep(lowering, output, moved)


def _reach(size: int, before: int, after: int, mode: str) -> Array:
    """The indices that a padded axis reads; negative pads cut off."""
    index = np.arange(-before, size + after)
    if mode == "wrap":
        return index % size
    if mode == "reflect":
        around = np.abs(index) % max(2 * (size - 1), 1)
        return np.minimum(around, 2 * (size - 1) - around)
    return np.clip(index, 0, size - 1)


def _surround(lowering: Lowering, x: Stored, axis: int, ends: list[int], fill: float, name: str) -> Stored:
    """``x`` with a constant before and after it along a float axis."""
    at, parts = x.axis(axis), [x.value]
    stored = x.storage.quantize(np.array(fill))
    if abs(float(x.storage.dequantize(stored)) - fill) > x.storage.scale:
        raise NotLowerable(f"it pads by {fill}, which is outside the range of its input", "pad by zero")
    for side, count in zip(("before", "after"), ends, strict=True):
        if count:
            block = np.full([count if i == at else d for i, d in enumerate(x.dims)], stored)
            edge = lowering.constant(f"{name}.{side}", block)
            parts = [edge, *parts] if side == "before" else [*parts, edge]
    if len(parts) == 1:
        return x
    dims = [d + sum(ends) if i == at else d for i, d in enumerate(x.dims)]
    value = lowering.emit("Concat", parts, f"{name}.padded", dtype_of(x.storage), dims, {"axis": at}, domain="")
    return Stored(value=value, storage=x.storage, order=x.order)


def expand(lowering: Lowering, node: ir.Node) -> None:
    """Expand or Tile: elements are repeated along axes."""
    output = node.outputs[0]
    x = raised(lowering, lowering.stored(node.inputs[0], whole=True), len(shape(output)))
    indices = {a: np.arange(length) % x.dims[x.axis(a)] for a, length in enumerate(shape(output))}
    _keep(lowering, output, _pick(lowering, x, indices, str(output.name)))
