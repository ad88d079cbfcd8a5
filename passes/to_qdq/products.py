"""Queries and keys in blocks, where attention multiplies them."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import array, attribute, shape
from edgegate.passes.to_qdq._build import Build, Names
from edgegate.passes.to_qdq.activations import quantized
from edgegate.quant.formats import format_named
from edgegate.quant.scheme import Scheme


def quantize_products(names: Names, scheme: Scheme, *, native: bool) -> None:
    """Let every product of ``scheme.products`` read queries and keys in blocks along the channels of a head.

    Raises:
        CompileError: The scheme names a value that no such product makes.
    """
    found = {str(node.outputs[0].name): node for node in _products(names.model)}
    problems = [_stranger(name, found) for name in scheme.products.keys() - found.keys()]
    if problems:
        raise CompileError.of(problems)
    made: dict[tuple[ir.Value, int, str], ir.Value] = {}
    for name, node in found.items():  # in graph order: what two share is made for the first
        if name not in scheme.products:
            continue
        storage = scheme.products[name]
        for index, form in enumerate((storage.queries, storage.keys)):
            operand = node.inputs[index]
            if form is None or operand is None:
                continue
            key = (operand, _axis(node, index), form)
            if key not in made:
                made[key] = _in_blocks(names, node, index, form, native=native)
            node.replace_input_with(index, made[key])


def _products(model: ir.Model) -> Iterator[ir.Node]:
    """The products of two values that are computed."""
    for node in model.graph:
        of_two = node.op_type in ("MatMul", "Attention") and not any(array(v) is not None for v in node.inputs[:2])
        if node.domain == "" and of_two:
            yield node


def _axis(node: ir.Node, index: int) -> int:
    """The axis of the channels in an operand, from the front; a MatMul reads its keys transposed."""
    operand = node.inputs[index]
    assert operand is not None, "a product has two operands"
    return len(shape(operand)) - (2 if index == 1 and node.op_type == "MatMul" else 1)


def _in_blocks(names: Names, node: ir.Node, index: int, form: str, *, native: bool) -> ir.Value:
    """An operand, quantized; heads that stand in one axis are taken apart, so that no block has channels of two."""
    operand, axis = node.inputs[index], _axis(node, index)
    assert operand is not None, "a product has two operands"
    build = Build(names=names, anchor=node, prefix=f"{operand.name}.{form}")
    dims = shape(operand)
    heads = int(attribute(node, ("q_num_heads", "kv_num_heads")[index], 0))
    if node.op_type == "MatMul" or len(dims) != 3 or not heads:
        return quantized(build, operand, axis, format_named(form), native=native)
    parts = build.reshape(operand, (*dims[:2], heads, dims[2] // heads))
    return build.reshape(quantized(build, parts, 3, format_named(form), native=native), dims)


def _stranger(name: str, found: dict[str, ir.Node]) -> Problem:
    near = get_close_matches(name, found, n=1)
    fix = f"it may mean {near[0]}" if near else "take it out, or quantize this model again"
    what = f"stores the operands of {name} in blocks, which no product of two values makes"
    return Problem(where="the scheme", what=what, fix=fix)
