"""How the float values at the edges of a program are stored: what is between the user's numbers and its integers."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

from edgegate import _json

STORED = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "int32": (0, 0)}
"""Storage types at the edge of a program, and their zero points."""
STATE_LIMIT = (1 << 23) - 1
"""An int32 input holds a state of 24 bits: it is quantized to at most so much, either sign."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a float value is stored at the edge: ``real = scale * (stored - zero_point)``.

    Attributes:
        dtype: "int8", "uint8", "int16"; "int32" for counts and states of 24 bits.
        scale: Positive; rounded to float32, as every engine reads it.
        zero_point: Within the dtype; 0 for int32.

    Raises:
        ValueError: An attribute is impossible.
    """

    dtype: str
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in STORED:
            raise ValueError(f"a storage dtype must be one of {', '.join(STORED)}, got {self.dtype!a}")
        scale = float(self.scale)
        if not (math.isfinite(scale) and 2.0**-100 <= scale <= 2.0**100):
            raise ValueError(f"a scale must be positive and of sane size, got {self.scale!r}")
        object.__setattr__(self, "scale", _single(scale))
        low, high = STORED[self.dtype]
        if not low <= self.zero_point <= high:
            raise ValueError(f"a zero_point of {self.dtype} must lie in [{low}, {high}], got {self.zero_point}")

    def __str__(self) -> str:
        return f"stored {self.dtype}, scale {self.scale:.8g}, zero point {self.zero_point}"


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What counts of bits mean: ``real = (stored + beta) / tau`` in float32, for an output.

    Attributes:
        tau: Not 0; rounded to float32.
        beta: Rounded to float32.

    Raises:
        ValueError: An attribute is impossible.
    """

    tau: float
    beta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tau", "beta"):
            given = getattr(self, name)
            if not math.isfinite(given) or abs(given) > 2.0**100:
                raise ValueError(f"{name} must be a number of sane size, got {given!r}")
            object.__setattr__(self, name, _single(given))
        if abs(self.tau) < 2.0**-100:
            raise ValueError(f"tau must not be 0, got {self.tau!r}")

    @property
    def dtype(self) -> str:
        """Counts are int32."""
        return "int32"

    def __str__(self) -> str:
        return "counts int32" + (f", plus {self.beta:.8g}" if self.beta else "") + f", divided by {self.tau:.8g}"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The bits of a float input: ``stored[..., t] = real[...] > thresholds[..., t]``, one axis more than the input.

    Attributes:
        shape: Of the thresholds; the leading axes broadcast to the input's, the last one is that of the bits.
        values: float32 numbers in C order, none of them NaN.

    Raises:
        ValueError: An attribute is impossible.
    """

    shape: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "values", tuple(map(_single, self.values)))
        sound = self.shape and all(type(size) is int and size >= 1 for size in self.shape)
        if not sound or math.prod(self.shape) != len(self.values):
            raise ValueError(f"{len(self.values)} thresholds are none of shape {list(self.shape)}")
        if not all(map(math.isfinite, self.values)):
            raise ValueError("thresholds must be finite")

    @property
    def bits(self) -> int:
        """How many bits each number becomes."""
        return self.shape[-1]

    @property
    def dtype(self) -> str:
        """Bits are uint8, of 0 and 1."""
        return "uint8"

    def __str__(self) -> str:
        return f"bits uint8, {self.bits} thresholds each, {min(self.values):.6g} to {max(self.values):.6g}"


Edge: TypeAlias = Storage | Scores | Thresholds
"""How a float value at the edge is stored."""


def edge_of(value: Any) -> Edge:
    """The edge that the JSON object ``value`` describes; ValueError if it describes none."""
    keys = set(value) if isinstance(value, dict) else set()
    if "tau" in keys:
        entries = _json.record(value, ("tau", "beta"), "scores")
        return Scores(**{name: _json.typed(entry, float, name) for name, entry in entries.items()})
    if "values" in keys:
        entries = _json.record(value, ("shape", "values"), "thresholds")
        shape, values = _json.items(entries["shape"], int, "shape"), _json.items(entries["values"], float, "values")
        return Thresholds(shape=shape, values=values)
    entries = _json.record(value, ("dtype", "scale", "zero_point"), "storage")
    return Storage(
        dtype=_json.typed(entries["dtype"], str, "dtype"),
        scale=_json.typed(entries["scale"], float, "scale"),
        zero_point=_json.typed(entries["zero_point"], int, "zero_point"),
    )


def _single(value: float) -> float:
    """``value`` rounded to float32."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError as e:
        raise ValueError(f"{value!r} is no float32") from e
