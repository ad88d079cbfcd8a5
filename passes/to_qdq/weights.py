"""Weights as codes and scales, which a blocked DequantizeLinear turns back into numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, constant
from edgegate.passes.to_qdq._build import FLOAT, Build
from edgegate.quant.block_weights import given_scales, with_scales
from edgegate.quant.formats import BlockFormat, Blocks, format_named
from edgegate.quant.formats._element import Element
from edgegate.quant.storage import BlockStorage

CHUNK = 1 << 20
"""Weights that are quantized at once, so that a layer needs little more memory than its codes."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """What stands for a significand in a file.

    Attributes:
        dtype: The codes' type.
        fraction: A code is the significand times ``2**-fraction``.
    """

    dtype: type
    fraction: int = 0


RUNTIME = {
    "e4m3": Code(dtype=ml_dtypes.float8_e4m3fn, fraction=9),
    "e5m2": Code(dtype=ml_dtypes.float8_e5m2, fraction=16),
    "e3m2": Code(dtype=ml_dtypes.float8_e4m3fn, fraction=4),  # its significands need 10 bits as integers
}
"""Minifloats that ONNX Runtime reads in blocks; the others are integers there."""
NATIVE = {**RUNTIME, "e2m1": Code(dtype=ml_dtypes.float4_e2m1fn, fraction=1)}
"""Minifloats of ONNX, opset 23 on."""


def code_of(element: Element, native: bool) -> Code:
    """The narrowest type for an element."""
    table = NATIVE if native else RUNTIME
    if element.name in table:
        return table[element.name]
    narrow = element.low >= -8 and element.high <= 7
    assert element.high < 128, f"{element.name} has no type in ONNX"
    return Code(dtype=ml_dtypes.int4 if narrow else np.int8)


def dequantized(
    build: Build, data: Array, axis: int, storage: BlockStorage, *, native: bool, name: str
) -> ir.Value:  # fmt: skip
    """``data`` on the grid of its format, with the scales that the storage gives, if any: float32.

    Args:
        build: Takes the nodes.
        data: Finite weights.
        axis: The axis of the input channels.
        storage: The format, and maybe scales.
        native: Whether types that opset 21 lacks may be used: E2M1 codes, E8M0 scales, E4M3 scales times one of
            the tensor.
        name: Of the result, made unique.
    """
    form = format_named(storage.weights)
    code = code_of(form.element, native)
    codes, scales, tensor = stored(data, axis, storage, code)
    model, names = build.names.model, build.names
    held = constant(model, names.unique(f"{name}.codes"), codes)
    # ONNX Runtime puts MatMulNBits in the place of a MatMul behind axis 0, which rounds the other operand to 8 bits
    # (session.qdq_matmulnbits_accuracy_level is 4 by default). An axis counted from the end it does not recognise.
    attributes: dict[str, Any] = {"axis": axis - data.ndim, "block_size": form.block}
    if native:
        attributes["output_dtype"] = FLOAT.value
    steps = _scales(build, scales, tensor, form, native=native, name=name)
    return build("DequantizeLinear", held, steps, dims=data.shape, dtype=FLOAT, name=names.unique(name), **attributes)


def _scales(build: Build, scales: Array, tensor: float, form: BlockFormat, *, native: bool, name: str) -> ir.Value:
    """The scales of codes as a value; ``scales`` float64, without the tensor's."""
    model, names = build.names.model, build.names
    if native and form.scale.tensor:
        held = constant(model, names.unique(f"{name}.scales"), scales.astype(ml_dtypes.float8_e4m3fn))
        whole = constant(model, names.unique(f"{name}.scale"), np.array(tensor, np.float32))
        return build("DequantizeLinear", held, whole, dims=scales.shape, dtype=FLOAT, output_dtype=FLOAT.value)
    powers = form.power_of_two and bool((np.frexp(scales)[0] == 0.5).all())  # given scales may be any
    if native and powers and math.ldexp(1.0, -127) <= scales.min(initial=1.0):
        return constant(model, names.unique(f"{name}.scales"), scales.astype(ml_dtypes.float8_e8m0fnu))
    return constant(model, names.unique(f"{name}.scales"), (scales * tensor).astype(np.float32))


def stored(data: Array, axis: int, storage: BlockStorage, code: Code) -> tuple[Array, Array, float]:
    """Codes of the shape of ``data``, the float64 scale of a code [..., n, ...] along ``axis``, the tensor's scale."""
    form = format_named(storage.weights)
    rows = np.moveaxis(data, axis, -1)
    codes: Array = np.empty(rows.shape, code.dtype)
    scales = np.empty((*rows.shape[:-1], -(-rows.shape[-1] // form.block)))
    greatest = np.zeros((1, rows.shape[-1]), np.float32)  # with every part, so that all have the tensor's scale
    greatest[0, 0] = max(data.max(), -data.min())
    size, tensor = max(1, CHUNK * len(rows) // max(rows.size, 1)), 1.0
    given = given_scales(storage, (scales[..., 0].size, rows.shape[-1])) if storage.scales else None
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        flat = np.concatenate([rows[part].reshape(-1, rows.shape[-1]), greatest], dtype=np.float32)
        if given is None:
            blocks = form.quantize(flat)
        else:
            own = given.reshape(scales.shape)[part].reshape(len(flat) - 1, -1)
            blocks = with_scales(form, flat, np.pad(own, ((0, 1), (0, 0)), mode="edge"), storage.tensor_scale)
        codes[part] = _codes(blocks, code)[:-1].reshape(codes[part].shape)
        scales[part] = np.ldexp(blocks.block_scales[:-1], code.fraction).reshape(scales[part].shape)
        tensor = blocks.tensor_scale
    turned = (np.ascontiguousarray(np.moveaxis(found, -1, axis)) for found in (codes, scales))
    return *turned, tensor  # type: ignore[return-value]


def _codes(blocks: Blocks, code: Code) -> Array:
    """Codes [..., K]; every one is exact."""
    flat = blocks.significands.reshape(*blocks.shape[:-1], -1)[..., : blocks.length]
    return np.asarray(np.ldexp(flat.astype(np.float64), -code.fraction).astype(code.dtype))
