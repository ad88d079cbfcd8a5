"""One op multiplies by a constant matrix."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, constant, insert, matches, only_user, shape
from edgegate.passes._functions import declare
from edgegate.passes._rewrite import absorb, is_float, operands, put, revise


def to_linear(model: ir.Model) -> None:
    """Turn Gemm, and MatMul with a constant, into ``edgegate.Linear(x, weight, bias)``.

    x [..., K], weight [K, N] and bias [N] constant (zeros if there was none), result [..., N]. The Add of a
    bias after it goes in. A constant on the left, ``W @ x``, becomes a Linear between two Transposes: it
    mixes tokens instead of channels.
    """
    declare(model, DOMAIN, "Linear")
    for node in matches(model, "Gemm"):
        _from_gemm(model, node)
    for node in matches(model, "MatMul"):
        if array(node.inputs[1]) is not None:
            _from_matmul(model, node)
        elif array(node.inputs[0]) is not None:
            _from_left(model, node)
    for node in matches(model, "Linear", domain=DOMAIN):
        _add_bias(model, node)


def _from_gemm(model: ir.Model, node: ir.Node) -> None:
    source, weight = node.inputs[:2]
    third = node.inputs[2] if len(node.inputs) > 2 else None
    matrix, data = array(weight), array(third)
    if matrix is None or array(source) is not None or attribute(node, "transA", 0) or not is_float(source):
        return
    matrix = matrix.T if attribute(node, "transB", 0) else matrix
    bias = np.zeros(1, np.float32) if third is None else data
    row = None if bias is None else _row(bias * np.float32(attribute(node, "beta", 1.0)), matrix.shape[1])
    if row is not None:
        _put(model, node, source, matrix * np.float32(attribute(node, "alpha", 1.0)), row)


def _from_matmul(model: ir.Model, node: ir.Node) -> None:
    source, matrix = node.inputs[0], array(node.inputs[1])
    if matrix is None or matrix.ndim < 2 or any(d != 1 for d in matrix.shape[:-2]) or not is_float(source):
        return
    assert source is not None
    matrix = matrix.reshape(matrix.shape[-2:])
    if array(source) is None and shape(node.outputs[0]) == (*shape(source)[:-1], matrix.shape[1]):
        _put(model, node, source, matrix, np.zeros(matrix.shape[1], np.float32))


def _from_left(model: ir.Model, node: ir.Node) -> None:
    matrix, source = array(node.inputs[0]), node.inputs[1]
    if matrix is None or matrix.ndim != 2 or source is None or not is_float(source) or len(shape(source)) < 2:
        return
    dims, name = shape(source), node.outputs[0].name
    swap = [*range(len(dims) - 2), len(dims) - 1, len(dims) - 2]
    turned = insert(
        node, "Transpose", [source], {"perm": swap}, domain="", name=f"{name}.transposed",
        dtype=ir.DataType.FLOAT, dims=[dims[i] for i in swap],
    )  # fmt: skip
    weight = constant(model, f"{name}.weight", np.ascontiguousarray(matrix.T))
    bias = constant(model, f"{name}.bias", np.zeros(matrix.shape[0], np.float32))
    mixed = insert(
        node, "Linear", [turned, weight, bias], name=f"{name}.mixed",
        dtype=ir.DataType.FLOAT, dims=(*dims[:-2], dims[-1], matrix.shape[0]),
    )  # fmt: skip
    put(node, "Transpose", [mixed], {"perm": swap})


def _put(model: ir.Model, node: ir.Node, source: ir.Value | None, matrix: Array, bias: Array) -> None:
    name = node.outputs[0].name
    weights = constant(model, f"{name}.weight", matrix), constant(model, f"{name}.bias", bias)
    put(node, "Linear", [source, *weights], domain=DOMAIN)


def _row(data: Array, size: int) -> Array | None:
    """``data`` as [size] if it is one number, or one per column; else None."""
    fits = data.size == 1 or data.size == size == data.shape[-1]
    return np.broadcast_to(data.ravel(), size).astype(np.float32) if fits else None


def _add_bias(model: ir.Model, linear: ir.Node) -> None:
    output, bias = linear.outputs[0], array(linear.inputs[2])
    node = only_user(output)
    found = operands(node) if node is not None and node.op_type == "Add" and node.domain == "" else None
    if node is None or found is None or bias is None or shape(node.outputs[0]) != shape(output):
        return
    row = _row(found[1], bias.size)
    if row is not None and found[1].size > 1:
        revise(model, linear, 2, bias + row)
        absorb(node, linear)
