"""A discrete Fourier transform is a product with a constant matrix: complex numbers are pairs of real ones.

Source: ONNX, DFT of opset 20: ``X[k] = sum_n x[n] exp(-2 pi i n k / N)``, and its inverse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, put


def explicit_dft(model: ir.Model) -> None:
    """Write each DFT of constant length and axis as a MatMul, its axis and the pairs moved last."""
    for node in matches(model, "DFT"):
        x, more = operand(node), (*node.inputs[1:], None, None)
        length, axis = (None if value is None else array(value) for value in more[:2])
        unknown = any(value is not None and data is None for value, data in zip(more, (length, axis), strict=False))
        backwards = bool(attribute(node, "inverse", 0))
        if unknown or not is_float(x) or (backwards and attribute(node, "onesided", 0)):
            continue
        x = _real(x)
        dims, made = shape(x), shape(node.outputs[0])
        at = (-2 if axis is None else int(axis.reshape(-1)[0])) % len(dims)
        points = dims[at] if length is None else int(length.reshape(-1)[0])
        weights = matrix(dims[at], points, made[at], pairs=dims[-1] == 2, backwards=backwards)
        _multiply(model, node, x, at, weights)


def matrix(rows: int, points: int, columns: int, *, pairs: bool, backwards: bool) -> Array:
    """What a row of signals is multiplied by: float32 [rows * (1 or 2), columns * 2].

    Args:
        rows: Elements of a signal; those from ``points`` on are left out.
        points: Of the transform.
        columns: How many of its results are asked for.
        pairs: Whether the signal is complex.
        backwards: Whether the transform is the inverse.
    """
    turns = np.outer(np.arange(rows), np.arange(columns)) % points
    waves = np.exp((2j if backwards else -2j) * np.pi * turns / points) / (points if backwards else 1)
    waves[points:] = 0
    real = np.stack([waves.real, waves.imag], -1)
    both = np.stack([real, np.stack([-waves.imag, waves.real], -1)], 1) if pairs else real
    return both.reshape(-1, 2 * columns).astype(np.float32)


def _real(x: ir.Value) -> ir.Value:
    """What ``x`` was before zeros were put beside it as its imaginary parts; else ``x``."""
    node = x.producer()
    if node is None or node.op_type != "Concat" or len(node.inputs) != 2 or shape(x)[-1] != 2:
        return x
    imaginary = array(node.inputs[1])
    last = int(attribute(node, "axis")) in (-1, len(shape(x)) - 1)
    return operand(node) if last and imaginary is not None and not imaginary.any() else x


def _multiply(model: ir.Model, node: ir.Node, x: ir.Value, axis: int, weights: Array) -> None:
    """Put the product with ``weights`` in the place of ``node``."""
    dims, made, name = shape(x), shape(node.outputs[0]), str(node.outputs[0].name)
    outer = [a for a in range(len(dims) - 1) if a != axis]
    perm = [*outer, axis, len(dims) - 1]
    rest = [dims[a] for a in outer]

    def emit(
        op_type: str, inputs: Sequence[ir.Value], part: str, dims: Sequence[int], **attributes: object
    ) -> ir.Value:
        return insert(
            node, op_type, inputs, attributes, domain="", name=f"{name}.{part}", dtype=ir.DataType.FLOAT, dims=dims
        )

    def reshape(x: ir.Value, part: str, dims: Sequence[int]) -> ir.Value:
        return emit("Reshape", [x, constant(model, f"{name}.{part}.shape", np.array(dims, np.int64))], part, dims)

    moved = emit("Transpose", [x], "moved", [dims[p] for p in perm], perm=perm)
    rows = reshape(moved, "rows", [*rest, weights.shape[0]])
    waves = constant(model, f"{name}.waves", weights)
    product = emit("MatMul", [rows, waves], "product", [*rest, weights.shape[1]])
    pairs = reshape(product, "pairs", [*rest, made[axis], 2])
    put(node, "Transpose", [pairs], {"perm": [perm.index(a) for a in range(len(dims))]})
