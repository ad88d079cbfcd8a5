"""Quotients of two activations."""

from __future__ import annotations

from fractions import Fraction

import onnx_ir as ir

from edgegate.ops.divide import LARGEST_SHIFT
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, output_attributes
from edgegate.passes.to_integer.elements import operands, result_dims
from edgegate.quant.fixed_point import fixed_point


def divide(lowering: Lowering, node: ir.Node) -> None:
    """Lower a / b, one rounding; what no number is (something by zero) becomes the end of the output's range."""
    a, b = operands(lowering, node)
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    scale = Fraction(a.storage.scale) / Fraction(b.storage.scale) / Fraction(target.scale)
    multiplier, shift = _factor(scale, name)
    attributes = {
        "a_zero_point": a.storage.zero_point,
        "b_zero_point": b.storage.zero_point,
        "multiplier": multiplier,
        "shift": shift,
        **output_attributes(target),
    }
    inputs, dims = [a.value, b.value], result_dims(node, a.order)
    value = lowering.emit("Divide", inputs, name, dtype_of(target), dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=a.order))


def _factor(scale: Fraction, name: str) -> tuple[int, int]:
    """(multiplier, shift) in the domain of Divide."""
    try:
        multiplier, shift = fixed_point(scale)
    except ValueError as e:
        fix = "its inputs and its output differ too much in scale: compare them in the scheme"
        raise NotLowerable(f"{e} to make {name}", fix) from e
    rest = max(shift - LARGEST_SHIFT, 0)
    return (multiplier + (1 << rest >> 1)) >> rest, shift - rest
