"""Arithmetic whose result does not depend on all that it reads."""

from __future__ import annotations

from math import isfinite, prod
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, constant, matches, replace, shape
from edgegate.passes._rewrite import is_float
from edgegate.passes.fold_constants import LIMIT, fold_constants

FAR = 1e30
"""A number so large is out of the reach of all that a network computes: it means infinity.

Running maxima start there (the stable sum of RWKV at -1e38), so that nothing is left of what was before the first step.
"""

Result: TypeAlias = ir.Value | float | None


def settled_arithmetic(model: ir.Model) -> None:
    """Leave out what changes nothing, and compute what is known: x + 0, x * 1, x * 0, x - x, max(x, -1e38), x - 1e38.

    Constants may make others so, which are computed in turn.
    """
    while _settle(model):
        fold_constants(model)


def _settle(model: ir.Model) -> bool:
    """Whether there are new constants."""
    made = False
    for node in matches(model, *RULES):
        output = node.outputs[0]
        if len(node.inputs) != 2 or not is_float(output) or output.is_graph_output():
            continue
        a, b = node.inputs
        if a is None or b is None or (array(a) is not None and array(b) is not None):
            continue
        result = RULES[node.op_type](a, b)
        if isinstance(result, ir.Value):
            if shape(result) == shape(output):
                replace(node, result)
        elif result is not None and prod(shape(output)) <= LIMIT:
            data = np.full(shape(output), result, np.float32)
            replace(node, constant(model, f"{output.name}.settled", data))
            made = True
    return made


def _number(value: ir.Value) -> float | None:
    """What all elements of a constant are; None where they differ, or depend on the input."""
    data = array(value)
    if data is None or not data.size or (data != data.reshape(-1)[0]).any():
        return None
    return float(data.reshape(-1)[0])


def _far(number: float | None) -> bool:
    return number is not None and isfinite(number) and abs(number) >= FAR


def _add(a: ir.Value, b: ir.Value) -> Result:
    for one, other in ((a, b), (b, a)):
        number = _number(one)
        if number == 0:
            return other
        if _far(number):
            return number
    return None


def _subtract(a: ir.Value, b: ir.Value) -> Result:
    first, second = _number(a), _number(b)
    if a is b:
        return 0.0
    if second == 0:
        return a
    if _far(first):
        return first
    return -second if second is not None and _far(second) else None


def _multiply(a: ir.Value, b: ir.Value) -> Result:
    for one, other in ((a, b), (b, a)):
        number = _number(one)
        if number == 1:
            return other
        if number == 0:
            return 0.0
    return None


def _divide(a: ir.Value, b: ir.Value) -> Result:
    return a if _number(b) == 1 else None


def _greatest(a: ir.Value, b: ir.Value) -> Result:
    return _beyond(a, b, -1)


def _least(a: ir.Value, b: ir.Value) -> Result:
    return _beyond(a, b, 1)


def _beyond(a: ir.Value, b: ir.Value, sign: int) -> Result:
    """What is left of two where a constant lies beyond the other."""
    for one, other in ((a, b), (b, a)):
        number = _number(one)
        if number is not None and number * sign >= FAR:
            return other
    return None


RULES = {"Add": _add, "Sub": _subtract, "Mul": _multiply, "Div": _divide, "Max": _greatest, "Min": _least}
