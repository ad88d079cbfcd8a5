"""How real numbers are stored as integers: ``real = scale * (stored - zero_point)``.

Scales are rounded to float32 on construction, because that is what an ONNX file holds: every engine
then reads the same number that the multipliers were computed from.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, equation 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edgegate.graph import Array

ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0), "int32": (0, 0)}
"""The zero points that each storage type may have: int16 and int32 are symmetric."""
STATE_LIMIT = (1 << 23) - 1
"""An int32 holds 24 bits, symmetric: float32 has them all, and 16-bit factors leave room in an int64."""
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-64, 2.0**64
"""Scales outside these are pathological: products of three would leave float32."""


def half_up(real: Array) -> Array:
    """The nearest integer, ties toward +infinity, as float64; exact for every float64 input.

    ``floor(x + 0.5)`` is not: the addition itself rounds, which turns 0.49999999999999994 into 1.
    """
    x = np.asarray(real, np.float64)
    floor = np.floor(x)
    with np.errstate(invalid="ignore"):  # inf - inf: an infinity stays as it is
        return np.asarray(np.where(x - floor >= 0.5, floor + 1, floor))


def checked_scale(scale: float) -> float:
    """``scale`` rounded to float32; ValueError unless it is a number in [2**-64, 2**64]."""
    if isinstance(scale, bool) or not isinstance(scale, int | float | np.floating):
        raise ValueError(f"a scale must be a number, got {scale!r}")
    try:
        wide = float(scale)
    except OverflowError as e:
        raise ValueError("a scale must be at most 2**64, got a much larger integer") from e
    if not (math.isfinite(wide) and SMALLEST_SCALE <= wide <= LARGEST_SCALE):
        raise ValueError(f"a scale must lie in [2**-64, 2**64], got {scale!r}")
    return float(np.float32(wide))


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How one activation is stored.

    Attributes:
        dtype: "int8", "uint8" or "int16"; "int32" for a state of 24 bits.
        scale: Real distance of two neighbouring stored values; positive, rounded to float32. A power of two for
            int32: then float32 holds what 24 bits mean, and the way there and back is exact.
        zero_point: The stored value that means 0.0; 0 for int16 and int32.

    Raises:
        ValueError: An attribute is impossible.
    """

    dtype: str
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in ZERO_POINTS:
            raise ValueError(f"dtype must be one of {', '.join(ZERO_POINTS)}, got {self.dtype!r}")
        object.__setattr__(self, "scale", checked_scale(self.scale))
        if isinstance(self.zero_point, bool) or not isinstance(self.zero_point, int | np.integer):
            raise ValueError(f"zero_point must be an integer, got {self.zero_point!r}")
        object.__setattr__(self, "zero_point", int(self.zero_point))
        least, most = ZERO_POINTS[self.dtype]
        if not least <= self.zero_point <= most:
            raise ValueError(f"a zero point of {self.dtype} lies in [{least}, {most}], got {self.zero_point}")
        if self.dtype == "int32" and math.frexp(self.scale)[0] != 0.5:
            raise ValueError(f"a scale of int32 is a power of two, got {self.scale!r}")

    @property
    def low(self) -> int:
        """The least stored value."""
        return -STATE_LIMIT if self.dtype == "int32" else int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        """The greatest stored value."""
        return STATE_LIMIT if self.dtype == "int32" else int(np.iinfo(self.dtype).max)

    @property
    def real_low(self) -> float:
        """The least real value that can be stored."""
        return self.scale * (self.low - self.zero_point)

    @property
    def real_high(self) -> float:
        """The greatest real value that can be stored."""
        return self.scale * (self.high - self.zero_point)

    def quantize(self, real: Array) -> Array:
        """Stored values of ``real`` in float64: half up, saturated. ValueError for NaN.

        Infinities saturate. This is for constants and tables; the float edge of a program follows ONNX
        QuantizeLinear instead (float32 division, half to even).
        """
        values = np.asarray(real, np.float64)
        if np.isnan(values).any():
            raise ValueError("NaN cannot be stored")
        stored = half_up(values / self.scale) + self.zero_point
        return np.asarray(np.clip(stored, self.low, self.high), self.dtype)

    def dequantize(self, stored: Array) -> Array:
        """Real values in float64."""
        return np.asarray((np.asarray(stored, np.float64) - self.zero_point) * self.scale)


def narrowed(storage: Storage) -> Storage:
    """What ops without a form for 24 bits read of a value stored so: the upper 16. Any other storage as it is."""
    if storage.dtype != "int32":
        return storage
    return Storage(dtype="int16", scale=min(storage.scale * 2.0**8, LARGEST_SCALE))


def coarser(storage: Storage, scale: float) -> Storage:
    """``storage`` with at least this scale, rounded up to what its type may have."""
    if scale <= storage.scale:
        return storage
    fraction, exponent = math.frexp(scale)
    power = math.ldexp(1.0, exponent - (fraction == 0.5))
    return replace(storage, scale=power if storage.dtype == "int32" else scale)


@dataclass(frozen=True, kw_only=True)
class BlockStorage:
    """How one layer's weights and its input are stored in blocks along the input channels.

    Attributes:
        weights: Name of the weights' format (:mod:`edgegate.quant.formats`).
        activations: Name of the format that the input is quantized to when it arrives; None: only the weights
            are stored in blocks, and integers of 8 bits are read as they are.
        scales: Of the weights' blocks, by output channel, tap and block: the real value of one step of a
            significand. Empty: the format's rules choose them, which are those of weights that it stored before in
            most formats with powers of two.
        tensor_scale: What all of ``scales`` are multiples of, in formats that have such a scale.

    Raises:
        ValueError: No format has that name, or a scale is not positive and finite.
    """

    weights: str
    activations: str | None = None
    scales: tuple[float, ...] = ()
    tensor_scale: float = 1.0

    def __post_init__(self) -> None:
        from edgegate.quant.formats import format_named

        for name in (self.weights, self.activations):
            if name is not None:
                format_named(name)
        object.__setattr__(self, "scales", tuple(self.scales))
        for scale in (*self.scales, self.tensor_scale):
            if isinstance(scale, bool) or not isinstance(scale, float) or not 0 < scale < math.inf:
                raise ValueError(f"a scale must be positive and finite, got {scale!r}")


@dataclass(frozen=True, kw_only=True)
class WeightStorage:
    """How one weight tensor is stored: signed, symmetric, one scale per index of ``axis``.

    Attributes:
        bits: Width, 2 to 8; the range is [-(2**(bits-1) - 1), 2**(bits-1) - 1].
        axis: The axis of the output channels in the float initializer.
        scales: One positive scale per output channel, rounded to float32.

    Raises:
        ValueError: An attribute is impossible.
    """

    bits: int = 8
    axis: int
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, least, most in (("bits", 2, 8), ("axis", 0, 7)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} must be an integer in [{least}, {most}], got {value!r}")
        if isinstance(self.scales, str | bytes) or not len(self.scales):
            raise ValueError("scales must be one number per output channel")
        object.__setattr__(self, "scales", tuple(checked_scale(s) for s in self.scales))

    @property
    def high(self) -> int:
        """The greatest stored value; the least is its negative."""
        return (1 << (self.bits - 1)) - 1

    def spread(self, rank: int) -> Array:
        """The scales as float64, shaped to broadcast with the weights."""
        shape = [1] * rank
        shape[self.axis] = len(self.scales)
        return np.array(self.scales, np.float64).reshape(shape)

    def quantize(self, weight: Array) -> Array:
        """int8 weights: half up, saturated to [-high, high].

        Args:
            weight: Finite floats with ``len(scales)`` indices on ``axis``.
        """
        if weight.ndim <= self.axis or weight.shape[self.axis] != len(self.scales):
            raise ValueError(f"{len(self.scales)} scales do not fit axis {self.axis} of {weight.shape}")
        if not np.isfinite(weight).all():
            raise ValueError("weights must be finite")
        stored = half_up(weight.astype(np.float64) / self.spread(weight.ndim))
        return np.clip(stored, -self.high, self.high).astype(np.int8)

    def dequantize(self, stored: Array) -> Array:
        """Real weights in float64."""
        return stored.astype(np.float64) * self.spread(stored.ndim)
