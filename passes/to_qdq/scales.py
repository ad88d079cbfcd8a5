"""The scale of a block from its greatest magnitude, by standard ops, exactly as ``quant.formats`` defines it.

Float32 suffices where a border of a rounding times a scale is a float32 number, which it is for scales that are powers
of two or float16: another number lies a last place from it at least, and the quotient does so from the border. Scales
times one of the tensor have up to 28 bits, so their quotients are taken in float64.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.passes.to_qdq._build import DOUBLE, FLOAT, INT64, Build
from edgegate.quant.formats import BlockFormat
from edgegate.quant.formats._scale import BIAS, FloatScale, PowerOfTwo

LEAST, MOST = -149, 127
"""Exponents of the least subnormal and of the greatest power of two in float32."""
SLACK = 1 / 64
"""By so much a logarithm is lowered before its floor: far more than any logarithm errs, so it never is too great."""
WHOLE = {"floor": "Floor", "even": "Round", "ceil": "Ceil"}


def scale_of(build: Build, greatest: ir.Value, form: BlockFormat) -> ir.Value:
    """The real value of one step, positive, of the shape and type of ``greatest`` (float32 for powers of two)."""
    if isinstance(form.scale, PowerOfTwo):
        return _power_of_two(build, greatest, form, form.scale)
    return _small_float(build, greatest, form, form.scale)


def floor_power(build: Build, x: ir.Value) -> ir.Value:
    """The greatest power of two that is not above ``x``; 2**-149 where ``x`` is less.

    The logarithm only points into a table of powers, one too low at most, and a comparison decides: no result
    depends on how well a machine computes logarithms. The square root lifts subnormal numbers, which some
    logarithms take for zero.
    """
    positive = build("Max", x, math.ldexp(1.0, LEAST))
    root = build("Sqrt", build.cast(positive, FLOAT))
    place = build("Mul", build("Log", root), 2 / math.log(2))
    index = build("Floor", build("Add", place, -LEAST - SLACK))
    index = build.cast(build("Clip", index, 0.0, float(MOST - LEAST)), INT64)
    dtype = FLOAT if x.dtype == FLOAT else DOUBLE
    table = build.names.constant("powers_of_two", np.ldexp(1.0, np.arange(LEAST, MOST + 1)).astype(dtype.numpy()))
    below = build("Gather", table, index, dims=shape(x), dtype=dtype)
    twice = build("Mul", below, 2.0)
    return build("Where", build("GreaterOrEqual", positive, twice), twice, below)


def _power_of_two(build: Build, greatest: ir.Value, form: BlockFormat, scale: PowerOfTwo) -> ir.Value:
    """``PowerOfTwo.choose``: the leading bit's place less that of the element, one more where the rule says so."""
    element, power = form.element, floor_power(build, greatest)
    step = build("Mul", power, math.ldexp(1.0, -element.top))
    if form.rule == "even":
        carries = build("GreaterOrEqual", greatest, build("Mul", power, 2 - 2.0**-element.precision))
    elif form.rule == "ceil":
        carries = build("Greater", greatest, build("Mul", power, math.ldexp(element.high, -element.top)))
    if form.rule != "floor":
        step = build("Where", carries, build("Mul", step, 2.0), step)
    return build("Clip", step, math.ldexp(1.0, -BIAS - scale.fraction), scale.most(1.0), dtype=FLOAT)


def _small_float(build: Build, greatest: ir.Value, form: BlockFormat, scale: FloatScale) -> ir.Value:
    """``FloatScale.choose``: the quotient, on the small float's grid."""
    unit = math.ldexp(1.0, scale.exponent)
    wanted = build("Div", greatest, form.element.high * unit)
    tensor = _of_tensor(build, greatest, form, scale) if scale.tensor else None
    if tensor is not None:
        wanted = build("Div", greatest, build("Mul", tensor, form.element.high * unit))
    wanted = build("Clip", wanted, 1.0, float(scale.element.high))
    grid = build("Mul", floor_power(build, wanted), math.ldexp(1.0, 1 - scale.element.digits))
    grid = build("Max", grid, 1.0)
    kept = build("Mul", build(WHOLE[form.rule], build("Div", wanted, grid)), grid)
    step = build("Mul", kept, unit)
    return step if tensor is None else build("Mul", step, tensor)


def _of_tensor(build: Build, greatest: ir.Value, form: BlockFormat, scale: FloatScale) -> ir.Value:
    """``FloatScale.of_tensor``: a float32, as float64 [1, ..., 1]."""
    axes = list(range(len(shape(greatest))))
    most = build("ReduceMax", greatest, build.ints(axes), dims=[1] * len(axes), dtype=DOUBLE, keepdims=1)
    wanted = build("Div", most, math.ldexp(form.element.high * scale.element.high, scale.exponent))
    limits = np.finfo(np.float32)
    kept = build("Clip", wanted, float(limits.tiny), float(limits.max))
    return build.cast(build.cast(kept, FLOAT), DOUBLE)
