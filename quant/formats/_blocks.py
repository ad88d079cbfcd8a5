"""Values in blocks that share a scale: integers, one real step per block, and the integers those steps are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerScales:
    """Scales as integers: ``multipliers * unit`` (one unit for all, or one per row) is the scale, exactly.

    Attributes:
        multipliers: int32 [..., n], positive.
        unit: float64, () or [...].
        raised: bool [..., n]: the blocks whose scale was below what the multipliers can say, so that theirs is a
            larger one, which the significands do not know of yet.
    """

    multipliers: Array
    unit: Array
    raised: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """Values [..., K] in n = ceil(K / B) blocks of B along the last axis; the last one is padded with zeros.

    Attributes:
        significands: int32 [..., n, B] (int64 for E5M2, which needs 33 bits): values in steps.
        scales: float64 [..., n], positive: the real value of one step, exactly, tensor scale included.
        length: K.
        tensor_scale: float32 value that divides every scale, for formats that store one (NVFP4); else 1.

    Raises:
        ValueError: Shapes or types do not fit, or a scale is not positive and finite.
    """

    significands: Array
    scales: Array
    length: int
    tensor_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.significands.dtype not in (np.int32, np.int64) or self.scales.dtype != np.float64:
            types = f"{self.significands.dtype} and {self.scales.dtype}"
            raise ValueError(f"significands and scales must be int32 (or int64) and float64, got {types}")
        shape = self.significands.shape
        if len(shape) < 2 or shape[:-1] != self.scales.shape or -(-self.length // max(shape[-1], 1)) != shape[-2]:
            raise ValueError(f"blocks {shape}, scales {self.scales.shape} and length {self.length} do not fit")
        if not (np.isfinite(self.scales) & (self.scales > 0)).all():
            raise ValueError("scales must be positive and finite")

    def __eq__(self, other: object) -> bool:
        """The same significands, scales, length and tensor scale."""
        if not isinstance(other, Blocks):
            return NotImplemented
        same = (self.length, self.tensor_scale) == (other.length, other.tensor_scale)
        return (
            same and np.array_equal(self.significands, other.significands) and np.array_equal(self.scales, other.scales)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values, [..., K]."""
        return (*self.scales.shape[:-1], self.length)

    @property
    def block_scales(self) -> Array:
        """float64 [..., n]: the scales without the tensor's (exact): of NVFP4, E4M3 times 2**-1."""
        return np.asarray(self.scales / self.tensor_scale)

    def values(self) -> Array:
        """float64 [..., K]: the numbers that are stored, exactly."""
        values = self.significands * self.scales[..., None]
        *leading, n, block = values.shape
        return np.asarray(values.reshape(*leading, n * block)[..., : self.length])

    def integer_scales(self, *, bits: int = 31, per_row: bool = False, clamp: bool = False) -> IntegerScales:
        """The scales as positive integers of at most ``bits`` bits over a unit.

        The unit is a power of two times the tensor scale: the largest that divides every scale. A block of zeros
        has the multiplier 1, whatever its scale: any will do.

        Args:
            bits: In [1, 31].
            per_row: One unit for each index of the leading axes (weights [N, K]: one per output channel), not one
                for all.
            clamp: Where ``bits`` do not suffice, let small scales become the next multiple of a larger unit, and
                say so in ``raised``. The significands of those blocks are then wrong: quantize again with
                ``BlockFormat.quantize(x, unit=result.unit)``, or use ``quantize_integer``, which does both.

        Raises:
            ValueError: Without ``clamp``, the scales need more than ``bits`` bits.
        """
        if not 1 <= bits <= 31:
            raise ValueError(f"bits must lie in [1, 31], got {bits}")
        live = self.significands.any(-1)
        scales = np.where(live, self.block_scales, 0.0)
        axis = -1 if per_row else None
        unit = _common_unit(scales, axis)
        most = scales.max(axis, keepdims=True, initial=0.0)
        unit, fits = np.maximum(unit, _least_unit(most, bits)), most / unit < 2.0**bits
        if not (clamp or fits.all()):
            need = int(np.frexp((most / _common_unit(scales, axis)).max())[1])
            raise ValueError(f"the scales need multipliers of {need} bits, and {bits} were allowed; allow clamp")
        multipliers = np.ceil(scales / unit)
        raised = multipliers * unit != scales
        unit = unit * self.tensor_scale
        return IntegerScales(
            multipliers=np.where(live, multipliers, 1).astype(np.int32),
            unit=unit[..., 0] if per_row else unit.reshape(()),
            raised=raised,
        )


def _common_unit(scales: Array, axis: int | None) -> Array:
    """The largest power of two that divides all positive scales along ``axis`` (kept); 1 where there is none."""
    fractions, exponents = np.frexp(scales)
    whole = np.ldexp(fractions, 53).astype(np.int64)  # scales == whole * 2**(exponents - 53)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1 + exponents - 53
    none = np.iinfo(lowest.dtype).max
    least = np.where(scales > 0, lowest, none).min(axis, keepdims=True, initial=none)
    return np.asarray(np.ldexp(1.0, np.where(least == none, 0, least)))


def _least_unit(most: Array, bits: int) -> Array:
    """The least power of two in whose multiples of ``bits`` bits ``most``, rounded up, can be said; tiny for 0."""
    exponents = np.frexp(most)[1] - bits
    exponents = exponents + (np.ceil(np.ldexp(most, -exponents)) > (1 << bits) - 1)
    return np.asarray(np.where(most > 0, np.ldexp(1.0, exponents), 0.0))
