"""A TIR function with what it is called on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from tvm import te

from edgegate.graph import Array, array, attribute, shape
from edgegate.ops import OPS


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a TIR function, whose last parameters are the outputs.

    Attributes:
        func: The function.
        arguments: Activations by value, constants as arrays.
        outputs: What it computes.
    """

    func: Any
    arguments: tuple[ir.Value | Array, ...]
    outputs: tuple[ir.Value, ...]


def portable(node: ir.Node) -> Call:
    """The node by its op's portable lowering."""
    tensors, arguments, outputs = _lowered(node)
    func = te.create_prim_func([*tensors, *outputs])
    return Call(func=func, arguments=arguments, outputs=tuple(node.outputs))


def each_output(node: ir.Node) -> list[Call]:
    """The node by its op's portable lowering, in one call for each output."""
    tensors, arguments, outputs = _lowered(node)
    return [
        Call(func=te.create_prim_func([*tensors, made]), arguments=arguments, outputs=(value,))
        for made, value in zip(outputs, node.outputs, strict=True)
    ]


def _lowered(node: ir.Node) -> tuple[list[Any], tuple[ir.Value | Array, ...], list[Any]]:
    """Placeholders, what they stand for, and what is computed of them."""
    op = OPS[node.domain, node.op_type]
    tensors, parameters, arguments = [], [], []
    for position, value in enumerate(node.inputs):
        assert value is not None, "integer ops have no optional inputs"
        data = array(value)
        if position in op.static:
            tensors.append(data)
            continue
        parameter = te.placeholder(shape(value), dtype(value), name=f"x{position}")
        tensors.append(parameter)
        parameters.append(parameter)
        arguments.append(value if data is None else data)
    lowered = op.lower(*tensors, **{name: attribute(node, name) for name in node.attributes})
    return parameters, tuple(arguments), list(lowered) if isinstance(lowered, list | tuple) else [lowered]


def dtype(value: ir.Value) -> str:
    """TVM's name of the value's type."""
    assert value.dtype is not None, "every value of an integer model has a type"
    return str(value.dtype.numpy().name)
