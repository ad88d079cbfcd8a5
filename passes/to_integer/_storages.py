"""Storages that no scheme speaks of: sums of 32 bits on their way to a layer, and numbers that are integers anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array
from edgegate.quant.storage import Storage, checked_scale

TYPES = {ir.DataType.INT64: "int64", ir.DataType.INT32: "int32", ir.DataType.BOOL: "bool"}
"""The types of values that are stored as they are."""


@dataclass(frozen=True, kw_only=True)
class Wide(Storage):
    """int32 with the zero point 0: what a Transform makes for layers that quantize it in blocks. No scheme says it.

    Attributes:
        reach: Greatest magnitude.
    """

    dtype: str = "int32"
    reach: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checked_scale(self.scale))

    @property
    def low(self) -> int:
        """The least integer of the type."""
        return int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        """The greatest integer of the type."""
        return int(np.iinfo(self.dtype).max)


@dataclass(frozen=True, kw_only=True)
class Exact(Wide):
    """A bool or an integer of the model itself: a token, a place, a comparison's result. It is stored as it is.

    Attributes:
        least: No value is smaller.
        most: No value is greater.
    """

    scale: float = 1.0
    reach: int = 0
    least: int
    most: int

    @property
    def low(self) -> int:
        """The least value."""
        return self.least

    @property
    def high(self) -> int:
        """The greatest value."""
        return self.most

    def quantize(self, real: Array) -> Array:
        """The values, in the type that they have."""
        return np.asarray(real, self.dtype)


def exact(value: ir.Value) -> Exact | None:
    """How ``value`` is stored if it is a bool or an integer: all of its type, or what the constant holds."""
    if value.dtype not in TYPES:
        return None
    dtype, data = TYPES[value.dtype], array(value)
    if data is not None and data.size:
        return Exact(dtype=dtype, least=int(data.min()), most=int(data.max()))
    if dtype == "bool":
        return Exact(dtype=dtype, least=0, most=1)
    whole = np.iinfo(dtype)
    return Exact(dtype=dtype, least=int(whole.min), most=int(whole.max))
