"""Scalar ONNX ops in float64: what a table is computed from.

Every entry of :data:`SCALAR_OPS` takes a node and its input arrays (float64, or bool) and returns an array.
Intermediate infinities are allowed (``1 / (1 + exp(-x))`` has them); what leaves a function is checked by
its callers.

Source: ONNX operator specification, opset 21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, attribute

Scalar = Callable[..., Array]

_erf = np.vectorize(math.erf, otypes=[np.float64])
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def erf(x: Array) -> Array:
    """The error function, correct to the last bits of float64."""
    return np.asarray(_erf(np.asarray(x, np.float64)))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without cancellation on either side."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _gelu(node: ir.Node, x: Array) -> Array:
    if attribute(node, "approximate", "none") == "tanh":
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        inner = erf(x / math.sqrt(2))
    return np.asarray(0.5 * x * (1 + inner))


def _elu(node: ir.Node, x: Array) -> Array:
    return np.where(x > 0, x, attribute(node, "alpha", 1.0) * np.expm1(np.minimum(x, 0)))


def _celu(node: ir.Node, x: Array) -> Array:
    alpha = attribute(node, "alpha", 1.0)
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))


def _selu(node: ir.Node, x: Array) -> Array:
    alpha, gamma = attribute(node, "alpha", SELU_ALPHA), attribute(node, "gamma", SELU_GAMMA)
    return np.asarray(gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _leaky_relu(node: ir.Node, x: Array) -> Array:
    return np.where(x >= 0, x, attribute(node, "alpha", 0.01) * x)


def _thresholded_relu(node: ir.Node, x: Array) -> Array:
    return np.where(x > attribute(node, "alpha", 1.0), x, 0.0)


def _hard_sigmoid(node: ir.Node, x: Array) -> Array:
    return np.asarray(np.clip(attribute(node, "alpha", 0.2) * x + attribute(node, "beta", 0.5), 0, 1))


def _clip(node: ir.Node, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    least = -np.inf if low is None else low
    most = np.inf if high is None else high
    # In this order: ONNX says high wins where low > high.
    return np.asarray(np.minimum(np.maximum(x, least), most))


def _cast(node: ir.Node, x: Array) -> Array:
    to = ir.DataType(attribute(node, "to"))
    if to == ir.DataType.BOOL:
        return np.asarray(x != 0)
    if to.is_floating_point():
        return x.astype(np.float64)  # evaluated wider than the model asks for, on purpose
    if to.is_integer():
        return np.trunc(x.astype(np.float64))
    raise ValueError(f"a cast to {to.name}")


def _constant(node: ir.Node) -> Array:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        found = attribute(node, name)
        if found is not None:
            data = np.asarray(found.numpy() if name == "value" else found)
            return data if data.dtype == np.bool_ else data.astype(np.float64)
    raise ValueError("a constant that is not a number")


def _many(function: Callable[[Array, Array], Array]) -> Scalar:
    def fold(_: ir.Node, first: Array, *others: Array) -> Array:
        for other in others:
            first = function(first, other)
        return first

    return fold


def _plain(function: Callable[..., Any]) -> Scalar:
    return lambda _, *inputs: np.asarray(function(*inputs))


SCALAR_OPS: dict[str, Scalar] = {
    "Constant": _constant,
    "Identity": _plain(lambda x: x),
    "Cast": _cast,
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _plain(np.divide),
    "Pow": _plain(np.power),
    "Min": _many(np.minimum),
    "Max": _many(np.maximum),
    "Sum": _many(np.add),
    "Neg": _plain(np.negative),
    "Abs": _plain(np.abs),
    "Sign": _plain(np.sign),
    "Sqrt": _plain(np.sqrt),
    "Reciprocal": _plain(np.reciprocal),
    "Exp": _plain(np.exp),
    "Log": _plain(np.log),
    "Sin": _plain(np.sin),
    "Cos": _plain(np.cos),
    "Tan": _plain(np.tan),
    "Asin": _plain(np.arcsin),
    "Acos": _plain(np.arccos),
    "Atan": _plain(np.arctan),
    "Sinh": _plain(np.sinh),
    "Cosh": _plain(np.cosh),
    "Tanh": _plain(np.tanh),
    "Asinh": _plain(np.arcsinh),
    "Acosh": _plain(np.arccosh),
    "Atanh": _plain(np.arctanh),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Round": _plain(np.rint),  # ONNX Round: ties to even
    "Erf": _plain(erf),
    "Sigmoid": _plain(sigmoid),
    "Softplus": _plain(softplus),
    "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Mish": _plain(lambda x: x * np.tanh(softplus(x))),
    "HardSwish": _plain(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "PRelu": _plain(lambda x, slope: np.where(x < 0, slope * x, x)),
    "Gelu": _gelu,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "LeakyRelu": _leaky_relu,
    "ThresholdedRelu": _thresholded_relu,
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Where": _plain(np.where),
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Equal": _plain(np.equal),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Xor": _plain(np.logical_xor),
    "IsNaN": _plain(np.isnan),
}
"""Op type -> its meaning in float64."""


def evaluate(function: ir.Function, x: Array, functions: Mapping[Any, ir.Function] | None = None) -> Array:
    """``function(x)``, elementwise, in float64.

    Args:
        function: One input, one output, scalar ops only; constants inside.
        x: Any shape.
        functions: The model's functions by identifier, for a body that calls another.

    Returns:
        float64, the shape of ``x``; NaN where the function is undefined.

    Raises:
        CompileError: An op has no scalar meaning here; names the function and the op.
    """
    if len(function.inputs) != 1 or len(function.outputs) != 1:
        raise CompileError(function.name, "is not a function of one value", "keep it out of edgegate.unary")
    known: dict[str, Array] = {_name(function.inputs[0]): np.asarray(x, np.float64)}
    with np.errstate(all="ignore"):  # infinities and NaNs are looked at by the caller, element by element
        for node in function:
            inputs = [None if v is None else known[_name(v)] for v in node.inputs]
            known[_name(node.outputs[0])] = _apply(function.name, node, inputs, functions or {})
    result = known[_name(function.outputs[0])].astype(np.float64)
    return np.broadcast_to(result, np.shape(x)).copy()


def _apply(name: str, node: ir.Node, inputs: list[Array | None], functions: Mapping[Any, ir.Function]) -> Array:
    called = functions.get(node.op_identifier())
    if called is not None and len(inputs) == 1 and inputs[0] is not None:
        return evaluate(called, inputs[0], functions)
    op = SCALAR_OPS.get(node.op_type) if node.domain == "" else None
    if op is None:
        fix = "write it with scalar ONNX ops"
        raise CompileError(name, f"{node.domain or 'ai.onnx'}.{node.op_type} has no scalar meaning", fix)
    try:
        return op(node, *inputs)
    except (TypeError, ValueError) as e:
        raise CompileError(name, f"{node.op_type}: {e}", "write it with scalar ONNX ops") from e


def _name(value: ir.Value) -> str:
    assert value.name is not None, "a value inside a function has no name"
    return value.name


def scalar_function(model: ir.Model, node: ir.Node) -> Callable[[Array], Array] | None:
    """The float64 meaning of a node of one activation, or None if it has none.

    Args:
        model: Holds the node and, in ``model.functions``, the meaning of the ``edgegate.unary`` ones.
        node: An ``edgegate.unary`` node, or a standard scalar op whose other inputs are constants of one
            element (Relu, Clip, ...).
    """
    found = model.functions.get(node.op_identifier())
    if found is not None and len(found.inputs) == 1:
        return lambda x: evaluate(found, x, model.functions)
    op = SCALAR_OPS.get(node.op_type) if node.domain == "" else None
    constants = [_one_number(v) for v in node.inputs[1:]]
    if op is None or not node.inputs or any(c is False for c in constants):
        return None

    def apply(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(op(node, np.asarray(x, np.float64), *constants), np.float64)

    return apply


def _one_number(value: ir.Value | None) -> Any:
    """None for an input left out, its float64 for a constant of one element, False for anything else."""
    from edgegate.graph import array

    if value is None:
        return None
    data = array(value)
    return False if data is None or data.size != 1 else data.astype(np.float64).reshape(())
