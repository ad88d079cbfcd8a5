"""Quantizing a value in blocks when it arrives, by standard ops.

The values are left as real numbers, float32 on the format's grid: what stands for them in a file matters for weights
alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.passes.to_qdq._build import DOUBLE, FLOAT, INT64, Build
from edgegate.passes.to_qdq.scales import scale_of
from edgegate.quant.formats import BlockFormat
from edgegate.quant.formats._element import Element

MINIFLOATS = {"e4m3": (ir.DataType.FLOAT8E4M3FN, 9), "e5m2": (ir.DataType.FLOAT8E5M2, 16)}
"""Elements that a Cast rounds to, and how many fraction bits a step has."""


NATIVE = {**MINIFLOATS, "e2m1": (ir.DataType.FLOAT4E2M1, 1)}
"""Elements that QuantizeLinear rounds to, opset 25."""


def quantized(build: Build, x: ir.Value, axis: int, form: BlockFormat, *, native: bool) -> ir.Value:
    """``form.quantize(x).values()`` along ``axis``, rounded to float32 (exact but for scales with a tensor scale).

    Args:
        build: Takes the nodes.
        x: float32; NaN and infinities give anything.
        axis: The axis of the blocks, from the front.
        form: The format.
        native: Whether there are types for MXFP8 and MXFP4: QuantizeLinear and DequantizeLinear, then.
    """
    blocks = _split(build, x, axis, form.block)
    work = build.cast(blocks, DOUBLE) if form.scale.tensor else blocks
    step = scale_of(build, _over_block(build, build("Abs", work), axis + 1), form)
    if native and form.power_of_two and form.element.name in NATIVE:
        return _through_codes(build, x, step, axis, form)
    if form.overflow == "bump":
        step = _bumped(build, work, step, axis + 1, form)
    kept = build("Clip", build("Div", work, step), float(form.element.low), float(form.element.high), dtype=work.dtype)
    values = build("Mul", _whole(build, kept, work, form), step)
    return _join(build, build.cast(values, FLOAT), shape(x), axis)


def _through_codes(build: Build, x: ir.Value, step: ir.Value, axis: int, form: BlockFormat) -> ir.Value:
    """``x`` in codes with E8M0 scales, and back."""
    dtype, fraction = NATIVE[form.element.name]
    dims = list(shape(step))
    del dims[axis + 1]
    scales = build.reshape(build("Mul", step, math.ldexp(1.0, fraction)), dims)
    scales = build.cast(scales, ir.DataType.FLOAT8E8M0)
    attributes: dict[str, Any] = {"axis": axis, "block_size": form.block}
    codes = build(
        "QuantizeLinear", x, scales, dims=shape(x), dtype=dtype, output_dtype=dtype.value, **attributes
    )  # fmt: skip
    return build(
        "DequantizeLinear", codes, scales, dims=shape(x), dtype=FLOAT, output_dtype=FLOAT.value, **attributes
    )  # fmt: skip


def _split(build: Build, x: ir.Value, axis: int, block: int) -> ir.Value:
    """[..., K, ...] as [..., n, block, ...], zeros after the end."""
    dims = list(shape(x))
    if rest := -dims[axis] % block:
        pads = [0] * (2 * len(dims))
        pads[len(dims) + axis] = rest
        dims[axis] += rest
        x = build("Pad", x, build.ints(pads), dims=dims, dtype=x.dtype, mode="constant")
    return build.reshape(x, (*dims[:axis], dims[axis] // block, block, *dims[axis + 1 :]))


def _join(build: Build, blocks: ir.Value, dims: tuple[int, ...], axis: int) -> ir.Value:
    """What :func:`_split` made, as it was."""
    split = shape(blocks)
    whole = build.reshape(blocks, (*split[:axis], split[axis] * split[axis + 1], *split[axis + 2 :]))
    if shape(whole) == dims:
        return whole
    ends = [build.ints([number]) for number in (0, dims[axis], axis)]
    return build("Slice", whole, *ends, dims=dims, dtype=whole.dtype)


def _over_block(build: Build, x: ir.Value, axis: int) -> ir.Value:
    """The greatest of each block, [..., n, 1, ...]."""
    dims = list(shape(x))
    dims[axis] = 1
    return build("ReduceMax", x, build.ints([axis]), dims=dims, dtype=x.dtype, keepdims=1)


def _bumped(build: Build, work: ir.Value, step: ir.Value, axis: int, form: BlockFormat) -> ir.Value:
    """Twice the step where a value of the block leaves the element's range by rounding."""
    rounded = build("Round", build("Div", work, step))
    beyond = build("Sub", rounded, float(form.element.high)), build("Sub", float(form.element.low), rounded)
    over = build("Greater", _over_block(build, build("Max", *beyond), axis), 0.0)
    return build("Where", over, build("Min", build("Mul", step, 2.0), form.scale.most(1.0), dtype=step.dtype), step)


def _whole(build: Build, ratio: ir.Value, work: ir.Value, form: BlockFormat) -> ir.Value:
    """``ratio``, values in steps within the element's range, rounded to the element's grid."""
    element = form.element
    if form.rounding == "truncate":
        # The quotient of a small negative number is 0 if it underflows; the floor of the exact one is -1.
        least = build("Where", build("Less", work, 0.0), build.number(-1.0, work), build.number(element.high, work))
        return build("Min", build("Floor", ratio), least)
    assert form.rounding == "half_even", "formats with a name round to even, or truncate"
    if element.name in MINIFLOATS:
        dtype, fraction = MINIFLOATS[element.name]
        scaled = build("Mul", ratio, math.ldexp(1.0, -fraction))
        return build("Mul", build.cast(build.cast(scaled, dtype), FLOAT), math.ldexp(1.0, fraction))
    if not element.digits:
        return build("Round", ratio)
    spacing = _spacing(build, ratio, element)
    return build("Mul", build("Round", build("Div", ratio, spacing)), spacing)


def _spacing(build: Build, ratio: ir.Value, element: Element) -> ir.Value:
    """The distance of an element's significands around ``ratio``, found in a table by its whole part."""
    exponents = [max(whole.bit_length() - element.digits, 0) for whole in range(element.high + 1)]
    assert ratio.dtype is not None, "values have a type"
    table = build.names.constant(f"spacing_{element.name}", np.ldexp(1.0, exponents).astype(ratio.dtype.numpy()))
    index = build.cast(build("Abs", ratio), INT64)
    return build("Gather", table, index, dims=shape(ratio), dtype=ratio.dtype)
