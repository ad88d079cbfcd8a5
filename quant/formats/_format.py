"""A block format: an element, a scale, and the rules that lead from real numbers to both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import _pack
from edgegate.quant.formats._blocks import Blocks, IntegerScales
from edgegate.quant.formats._element import Element
from edgegate.quant.formats._round import ROUNDINGS
from edgegate.quant.formats._scale import RULES, FloatScale, PowerOfTwo

CHUNK = 1 << 17
"""Values that are worked on at once: their temporaries stay in the cache."""
OVERFLOWS = ("clamp", "bump")


@dataclass(frozen=True, kw_only=True)
class BlockFormat:
    """How numbers are stored in blocks along the last axis.

    Attributes:
        name: As ``format_named`` takes it.
        element: What one value is stored in.
        block: Values that share a scale; a multiple of 8.
        scale: What the scale is stored in.
        rule: "floor", "even" or "ceil": the scale of a block, from its greatest magnitude.
        rounding: "half_even", "half_away", "half_up" or "truncate" (toward -infinity).
        overflow: "clamp" saturates at the element's ends; "bump" doubles the scale of a block that has a value
            beyond them, and rounds the block again, from the real numbers.
        default_rule: The rule that the name without a suffix means.

    Raises:
        ValueError: An attribute is impossible.
    """

    name: str
    element: Element
    block: int
    scale: PowerOfTwo | FloatScale
    rule: str = "floor"
    rounding: str = "half_even"
    overflow: str = "clamp"
    default_rule: str = "floor"

    def __post_init__(self) -> None:
        for what, given, known in (
            ("rule", self.rule, RULES),
            ("rounding", self.rounding, ROUNDINGS),
            ("overflow", self.overflow, OVERFLOWS),
        ):
            if given not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, got {given!r}")
        if self.block < 8 or self.block % 8:
            raise ValueError(f"block must be a positive multiple of 8, got {self.block}")
        if self.overflow == "bump" and not self.power_of_two:
            raise ValueError("only scales that are powers of two can be bumped")
        if not (self.element.fills or (self.rule, self.overflow) == ("floor", "clamp")):
            raise ValueError(f"{self.name} cuts off what is beyond its block's power of two: it has no rule but floor")

    @property
    def power_of_two(self) -> bool:
        """Whether every scale is a power of two."""
        return isinstance(self.scale, PowerOfTwo)

    @property
    def bits_per_value(self) -> float:
        """Bits that a value takes, its share of the block's scale included and a tensor's scale not."""
        return self.element.bits + self.scale.bits / self.block

    def with_rule(self, rule: str) -> BlockFormat:
        """This format with another scale rule; its name gains the suffix, or loses it."""
        base = self.name.removesuffix(f"-{self.rule}")
        return replace(self, rule=rule, name=base if rule == self.default_rule else f"{base}-{rule}")

    def quantize(self, x: Array, *, unit: Array | float | None = None) -> Blocks:
        """The blocks nearest to ``x`` by the format's rules. Exact: float64 is never rounded before it has to be.

        Args:
            x: float16, float32 or float64 [..., K], K >= 1.
            unit: A power of two (times the tensor scale that ``x`` has), or one for each leading index: scales are
                rounded up to multiples of it, so that they fit integers of few bits. See
                :meth:`Blocks.integer_scales`.

        Raises:
            ValueError: ``x`` is of another type, has no last axis, or holds NaN or infinity; a unit is no power of
                two, or is above every scale.
        """
        rows = _as_rows(x)
        length, blocks = rows.shape[-1], -(-rows.shape[-1] // self.block)
        tensor = self._tensor_scale(rows)
        units = self._units(unit, x.shape[:-1], tensor)
        significands = np.empty((len(rows), blocks, self.block), self.element.dtype)
        scales = np.empty((len(rows), blocks))
        for at, values in _chunks(rows, self.block):
            least = None if units is None else units[at[0], None]
            significands[at], scales[at] = self._quantize(values, tensor, least)
        return Blocks(
            significands=significands.reshape(*x.shape[:-1], blocks, self.block),
            scales=scales.reshape(*x.shape[:-1], blocks),
            length=length,
            tensor_scale=tensor,
        )

    def quantize_integer(self, x: Array, *, bits: int = 31, per_row: bool = False) -> tuple[Blocks, IntegerScales]:
        """:meth:`quantize`, with scales that are integers of ``bits`` bits over a unit: small ones are raised.

        Args:
            x: As for ``quantize``.
            bits: Of a multiplier, in [1, 31].
            per_row: One unit for each leading index.

        Returns:
            Blocks whose scales are ``multipliers * unit`` except in blocks of zeros, and those. ``raised`` marks
            the blocks that were made coarser for it.
        """
        blocks = self.quantize(x)
        scales = blocks.integer_scales(bits=bits, per_row=per_row, clamp=True)
        if not scales.raised.any():
            return blocks, scales
        blocks = self.quantize(x, unit=scales.unit)
        return blocks, replace(blocks.integer_scales(bits=bits, per_row=per_row), raised=scales.raised)

    def significands(self, x: Array, scales: Array) -> Array:
        """``x`` in steps of given scales, rounded and saturated: for who holds the scales fixed, as GPTQ does.

        Args:
            x: Finite float64 of any shape.
            scales: Positive float64, broadcastable to ``x``.

        Returns:
            int32 of the shape of ``x`` (int64 for E5M2).
        """
        rounded = self._round(np.asarray(x, np.float64), np.asarray(scales, np.float64))
        return self._whole(rounded)

    def pack(self, blocks: Blocks) -> bytes:
        """The bytes of blocks; the layout is in the module of the format's family.

        Raises:
            ValueError: The blocks are not of this format.
        """
        return _pack.pack(self.element, self.scale, self.block, blocks)

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Blocks:
        """The blocks that :meth:`pack` made bytes of.

        Args:
            data: The bytes, from anywhere.
            shape: Of the values, [..., K].

        Raises:
            ValueError: The length does not fit the shape, a code is reserved, or the padding is not zero.
        """
        return _pack.unpack(self.element, self.scale, self.block, data, shape)

    def _quantize(self, values: Array, tensor: float, units: Array | None) -> tuple[Array, Array]:
        """Significands and scales of float64 blocks [r, b, B]; units [r, 1]."""
        greatest = np.abs(values).max(-1, initial=0.0)
        if not np.isfinite(greatest).all():
            raise ValueError("holds NaN or infinity; quantize finite values only")
        scales = self.scale.choose(greatest, self.element, self.rule, tensor)
        if units is not None:
            scales = np.ceil(scales / units) * units
        rounded = self._round(values, scales[..., None])
        if self.overflow == "bump":
            over = ((rounded > self.element.high) | (rounded < self.element.low)).any(-1)
            over &= scales < self.scale.most(tensor)  # the greatest exponent cannot grow: its block is clamped
            scales[over] *= 2
            rounded[over] = self._round(values[over], scales[over][..., None])
        return self._whole(rounded), scales

    def _round(self, values: Array, scales: Array) -> Array:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            ratio = np.asarray(values / scales)
            if self.rounding == "truncate":  # -1e-320 / 2**100 is -0.0, and still lies below 0
                ratio[(ratio == 0) & (values < 0)] = -np.finfo(np.float64).smallest_subnormal
            return self.element.round(ratio, ROUNDINGS[self.rounding])

    def _whole(self, rounded: Array) -> Array:
        np.clip(rounded, self.element.low, self.element.high, out=rounded)
        return np.asarray(rounded.astype(self.element.dtype))

    def _tensor_scale(self, rows: Array) -> float:
        if not isinstance(self.scale, FloatScale) or not self.scale.tensor:
            return 1.0
        greatest = max((float(np.abs(values).max(initial=0.0)) for _, values in _chunks(rows, self.block)), default=0.0)
        return self.scale.of_tensor(greatest, self.element)

    def _units(self, unit: Array | float | None, leading: tuple[int, ...], tensor: float) -> Array | None:
        """One unit per row, checked."""
        if unit is None:
            return None
        units = np.broadcast_to(np.asarray(unit, np.float64), leading).reshape(-1)
        if not ((np.frexp(units / tensor)[0] == 0.5) & (units <= self.scale.most(tensor))).all():
            raise ValueError("a unit must be a power of two, times the tensor scale, and no more than a scale can be")
        return units


def _as_rows(x: Array) -> Array:
    """``x`` as [rows, K]."""
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float16, np.float32, np.float64):
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(f"must be an array of float16, float32 or float64, got {kind}")
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"must have values along a last axis, got shape {x.shape}")
    return x.reshape(-1, x.shape[-1])


def _chunks(rows: Array, block: int) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """Pieces of ``rows`` [R, K] as float64 [r, b, block], padded with zeros, and where they are among [R, n]."""
    length = rows.shape[-1]
    blocks = -(-length // block)
    wide = min(blocks, max(1, CHUNK // block))
    high = max(1, CHUNK // (wide * block))
    for top in range(0, len(rows), high):
        for left in range(0, blocks, wide):
            piece = rows[top : top + high, left * block : (left + wide) * block].astype(np.float64)
            padding = min(wide, blocks - left) * block - piece.shape[-1]
            if padding:
                piece = np.pad(piece, ((0, 0), (0, padding)))
            yield (slice(top, top + high), slice(left, left + wide)), piece.reshape(len(piece), -1, block)
