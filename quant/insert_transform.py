"""Putting a linear transform between a value and the layers that read it.

In the float graph it is ``edgegate::Transform(x, matrices)``: along the last axis, block ``i`` of ``d`` channels is
multiplied by ``matrices[i]`` [d, d]; one matrix for all blocks has the shape [1, d, d]. The weights that undo it are
the caller's to change.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, attribute, constant, insert, shape, where
from edgegate.passes._functions import declare

KINDS = ("hadamard", "matrix")
"""What a Transform is: the +-1 matrices of :func:`sylvester`, or any."""


def sylvester(size: int) -> Array:
    """The unnormalised Hadamard matrix int8 [size, size] in natural (Sylvester) order; ``size`` a power of two."""
    if size < 1 or size & (size - 1):
        raise ValueError(f"a Hadamard matrix has a power of two as its size here, got {size}")
    made = np.ones((1, 1), np.int8)
    while len(made) < size:
        made = np.block([[made, made], [made, -made]]).astype(np.int8)
    return made


def pad_weights(weight: Array, axis: int, size: int) -> Array:
    """``weight`` with zeros after the end of ``axis``, up to a multiple of ``size``: for channels that are no more."""
    pads = [(0, 0)] * weight.ndim
    pads[axis] = (0, -weight.shape[axis] % size)
    return np.pad(weight, pads)


def insert_transform(
    model: ir.Model, value: ir.Value, readers: Collection[ir.Node], matrices: Array, kind: str, axis: int
) -> ir.Value:
    """Let ``readers`` read ``value`` with its channels transformed, and return what they read.

    Channels that fill no block are padded with zeros, so the readers' weights need as many channels as the blocks
    have (:func:`pad_weights`); the transform of a zero is a zero, so a convolution may pad as before.

    Args:
        model: Float model; other readers of ``value`` keep it.
        value: [..., C, ...] float32.
        readers: Layers whose first input is ``value``; at least one.
        matrices: Integers of any dtype, [n, d, d] with n = ceil(C / d), or [1, d, d] for one that all blocks share.
        kind: "hadamard", where ``matrices`` must be the Sylvester matrix, or "matrix".
        axis: The axis of the channels.

    Raises:
        ValueError: The matrices do not fit, are not integers or not what ``kind`` says; ``readers`` is empty, or
            one of them reads something else or has groups of channels that are not whole blocks.
    """
    dims = shape(value)
    axis %= len(dims)
    data = _checked(matrices, kind, dims[axis])
    size = data.shape[-1]
    for reader in readers:
        _check_reader(reader, value, size)
    anchor = _first(model, readers)
    declare(model, DOMAIN, "Transform")
    name = _unique(model, f"{value.name}.transformed")
    found = value if axis == len(dims) - 1 else _moved(anchor, value, axis, -1, f"{name}.last")
    if rest := -dims[axis] % size:
        found = _padded(model, anchor, found, rest, f"{name}.padded")
    held = constant(model, f"{name}.matrices", data)
    last = axis == len(dims) - 1
    made = insert(
        anchor, "Transform", [found, held], {"kind": kind}, name=name if last else f"{name}.blocks",
        dtype=ir.DataType.FLOAT, dims=shape(found),
    )  # fmt: skip
    result = made if last else _moved(anchor, made, -1, axis, name)
    for reader in readers:
        reader.replace_input_with(0, result)
    return result


def _checked(matrices: Array, kind: str, channels: int) -> Array:
    """The matrices as float32, one where all are the Hadamard matrix."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not matrices.size:
        raise ValueError(f"matrices must have the shape [blocks, d, d], got {list(matrices.shape)}")
    count, size = matrices.shape[:2]
    if count not in (1, -(-channels // size)):
        raise ValueError(f"{channels} channels in blocks of {size} need {-(-channels // size)} matrices, got {count}")
    data = matrices.astype(np.float32)
    if not np.array_equal(data, matrices) or not np.array_equal(data, np.rint(data)):
        raise ValueError("matrices must hold integers that float32 holds: round the transform first")
    if kind == "hadamard":
        if not (data == sylvester(size)).all():
            raise ValueError("matrices of kind 'hadamard' must be the unnormalised Sylvester matrix")
        return data[:1]
    return data


def _check_reader(reader: ir.Node, value: ir.Value, size: int) -> None:
    if reader.inputs[0] is not value:
        raise ValueError(f"{where(reader)} does not read {value.name} as its first input")
    group = int(attribute(reader, "group", 1))
    weight = reader.inputs[1] if group > 1 else None
    if weight is not None and shape(weight)[1] % size:
        raise ValueError(f"{where(reader)} has groups of {shape(weight)[1]} channels, which blocks of {size} straddle")


def _first(model: ir.Model, readers: Collection[ir.Node]) -> ir.Node:
    wanted = set(readers)
    found = next((node for node in model.graph if node in wanted), None)
    if found is None:
        raise ValueError("a transform needs a reader")
    return found


def _unique(model: ir.Model, name: str) -> str:
    """``name``, with a number if a value of the graph has it."""
    taken = {str(v.name) for node in model.graph for v in node.outputs} | {str(v.name) for v in model.graph.inputs}
    unique, n = name, 0
    while unique in taken:
        n += 1
        unique = f"{name}_{n}"
    return unique


def _moved(anchor: ir.Node, value: ir.Value, source: int, target: int, name: str) -> ir.Value:
    """``value`` with axis ``source`` moved to ``target``."""
    dims = shape(value)
    perm = list(range(len(dims)))
    perm.insert(target % len(dims), perm.pop(source))
    return insert(
        anchor, "Transpose", [value], {"perm": perm}, domain="", name=name, dtype=ir.DataType.FLOAT,
        dims=[dims[p] for p in perm],
    )  # fmt: skip


def _padded(model: ir.Model, anchor: ir.Node, value: ir.Value, rest: int, name: str) -> ir.Value:
    """``value`` with zeros after the end of the last axis."""
    dims = shape(value)
    pads = constant(model, f"{name}.pads", np.array([0] * (2 * len(dims) - 1) + [rest], np.int64))
    return insert(
        anchor, "Pad", [value, pads], {"mode": "constant"}, domain="", name=name, dtype=ir.DataType.FLOAT,
        dims=(*dims[:-1], dims[-1] + rest),
    )  # fmt: skip
