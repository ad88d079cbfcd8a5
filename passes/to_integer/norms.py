"""Norms over activations."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import onnx_ir as ir

from edgegate.graph import attribute
from edgegate.ops.row_norm import LARGEST_SHIFT
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of, output_attributes
from edgegate.quant.fixed_point import fixed_point

FIX = "its output's scale is far from its range, which is that of a norm: compare it in the scheme"


def row_norm(lowering: Lowering, node: ir.Node) -> None:
    """Lower RowNorm: the scale of its input cancels, but for epsilon."""
    x = lowering.stored(node.inputs[0])
    last = len(x.order) - 1
    if x.order[-1] != last:
        x = lowering.stored(node.inputs[0], [*(axis for axis in x.order if axis != last), last])
    centre, mean = int(attribute(node, "centre")), int(attribute(node, "mean"))
    size, output = x.dims[-1], node.outputs[0]
    target = lowering.storage(output)
    parts = _parts(size, x.storage.dtype) if centre else 0
    # y = d sqrt(n) / sqrt(sum d^2 + n e) with a mean; with a centre d has become m = K d, and W is K sum d^2.
    squared = Fraction(size) ** mean / max(parts, 1)
    epsilon = Fraction(float(attribute(node, "epsilon"))) / Fraction(x.storage.scale) ** 2 * size**mean * max(parts, 1)
    multiplier, shift = _factor(_root(squared) / Fraction(target.scale), str(output.name))
    attributes = {
        "zero_point": x.storage.zero_point, "parts": parts, "epsilon": round(epsilon),
        "multiplier": multiplier, "shift": shift, **output_attributes(target),
    }  # fmt: skip
    value = lowering.emit("RowNorm", [x.value], str(output.name), dtype_of(target), x.dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def _parts(size: int, dtype: str) -> int:
    """In how many parts of a step the mean is taken off: exactly, in n, or in as many as 64 bits leave room for."""
    reach = 1 << 15 if dtype == "int16" else 255
    of_elements = ((1 << 31) - 1) // (2 * reach)
    of_squares = (1 << 61) // (size * max(reach**2 + 1, 2 * size))
    return max(min(size, of_elements, of_squares), 1)


def _root(square: Fraction) -> Fraction:
    """sqrt(square), to 60 bits."""
    return Fraction(isqrt((square.numerator << 120) // square.denominator), 1 << 60)


def _factor(scale: Fraction, name: str) -> tuple[int, int]:
    """(multiplier, shift) in the domain of RowNorm."""
    try:
        multiplier, shift = fixed_point(scale)
    except ValueError as e:
        raise NotLowerable(f"{e} to make {name}", FIX) from e
    if not (multiplier and 1 <= shift <= LARGEST_SHIFT):
        raise NotLowerable(f"a factor of {float(scale):.3g} to make {name}", FIX)
    return multiplier, shift
