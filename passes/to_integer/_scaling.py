"""Rescales, as the lowerings emit them: the last place that sees a float scale."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgegate.passes.to_integer._lowering import Exact, Lowering, NotLowerable, Stored
from edgegate.quant.fixed_point import fixed_points
from edgegate.quant.storage import Storage

WIDTH = {"int8": 8, "uint8": 8, "int16": 16, "int32": 32}
TYPES = {
    "int8": ir.DataType.INT8, "uint8": ir.DataType.UINT8, "int16": ir.DataType.INT16, "int32": ir.DataType.INT32,
    "int64": ir.DataType.INT64, "bool": ir.DataType.BOOL,
}  # fmt: skip


def dtype_of(storage: Storage) -> ir.DataType:
    """The ONNX type of a storage."""
    return TYPES[storage.dtype]


def output_attributes(storage: Storage) -> dict[str, int]:
    """The attributes that bring a result to ``storage``."""
    return {
        "output_zero_point": storage.zero_point,
        "low": storage.low,
        "high": storage.high,
        "to": dtype_of(storage).value,
    }


def multipliers(lowering: Lowering, name: str, scales: Sequence[Fraction], bits: int = 31) -> list[ir.Value]:
    """Constants ``name.multiplier`` and ``name.shift``: one pair, or one per channel."""
    try:
        both = fixed_points(scales, bits=bits)
    except ValueError as e:
        what = f"{e} to make {name}"
        raise NotLowerable(
            what, "its inputs and its output differ too much in scale: compare them in the scheme"
        ) from e
    return [lowering.constant(f"{name}.{part}", data) for part, data in zip(("multiplier", "shift"), both, strict=True)]


def rescale(
    lowering: Lowering, acc: ir.Value, dims: Sequence[int], scales: Sequence[Fraction], target: Storage, name: str, *,
    input_zero_point: int = 0,
) -> ir.Value:  # fmt: skip
    """``acc`` times ``scales`` in the storage ``target``; one scale, or one per index of the last axis."""
    bits = 15 if acc.dtype == ir.DataType.INT64 else 31
    attributes = {"input_zero_point": input_zero_point, **output_attributes(target)}
    inputs = [acc, *multipliers(lowering, name, scales, bits)]
    return lowering.emit("Rescale", inputs, name, dtype_of(target), dims, attributes)


def match(lowering: Lowering, x: Stored, target: Storage, name: str) -> Stored:
    """``x`` in the storage ``target``: itself if it is in it already."""
    if x.storage == target or isinstance(target, Exact):
        return x
    scale = saturating(x.storage, target)
    value = rescale(
        lowering, x.value, x.dims, [scale], target, name, input_zero_point=x.storage.zero_point
    )  # fmt: skip
    return Stored(value=value, storage=target, order=x.order)


def saturating(source: Storage, target: Storage) -> Fraction:
    """The ratio of two scales, or the greatest that a rescale can have if the target has 16 bits at most.

    Above it one step of the source is past both ends of the target, so that every factor gives the same.
    """
    ratio = Fraction(source.scale) / Fraction(target.scale)
    if max(WIDTH.get(source.dtype, 32), WIDTH.get(target.dtype, 32)) > 16:
        return ratio
    return min(ratio, Fraction((1 << 31) - 1, 1 << WIDTH[source.dtype] + (source.dtype != "int16")))


def integer_bias(bias: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """The float bias at the accumulator's scales, half up.

    Args:
        bias: [O], corrections included.
        scales: float64 [O]: input scale times weight scale, which float64 holds exactly.
        bits: Width of the accumulator, 32 or 48.
    """
    stored = np.floor(bias.astype(np.float64) / scales + 0.5)
    limit = float(1 << (bits - 1))
    worst = int(np.abs(stored).argmax()) if stored.size else 0
    if stored.size and not abs(stored[worst]) < limit:
        raise NotLowerable(
            f"the bias of channel {worst} is {stored[worst]:.3g} steps of its accumulator, past int{bits}",
            "its weights are almost zero beside its bias: give the channel a larger weight scale, or prune it",
        )
    return stored.astype(np.int32 if bits == 32 else np.int64)
