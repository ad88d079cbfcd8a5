"""What one value of a block is stored in: an integer of few bits, or a minifloat.

Both are integers here: a minifloat is a multiple of its smallest subnormal, so E2M1 {0, .5, 1, 1.5, 2, 3, 4, 6} is
{0, 1, 2, 3, 4, 6, 8, 12} steps of one half. Those integers are called significands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgegate.graph import Array

ONE = 1023 << 52
"""The bits of 1.0 as float64: what an exponent field is counted from."""


@dataclass(frozen=True, kw_only=True)
class Element:
    """A set of significands, how a number is rounded to it, and the bits that stand for each.

    Attributes:
        name: "int4", "e2m1", ...
        bits: Bits of one element, sign included.
        low: The least significand that is made.
        high: The greatest one.
        digits: Significant bits of a minifloat, the hidden one included (E2M1: 2, E4M3: 4); 0 for integers.
        sign_magnitude: The top bit of an integer is its sign; else it is two's complement. Minifloats ignore it.
        top: Which power of two a block's exponent stands for, as log2 of a significand: what the greatest magnitude's
            leading bit becomes. By default floor(log2(high)): int4 2, E2M1 3. One more halves the step, and what lies
            beyond ``high`` is saturated.

    Raises:
        ValueError: The bits cannot hold the range, or ``top`` is neither of the two.
    """

    name: str
    bits: int
    low: int
    high: int
    digits: int = 0
    sign_magnitude: bool = False
    top: int = -1

    def __post_init__(self) -> None:
        if not (2 <= self.bits <= 16 and 0 <= self.digits < self.bits):
            raise ValueError(f"{self.name}: {self.bits} bits with {self.digits} digits is no element")
        if not {self.low, self.high} <= set(self.table.tolist()) or self.low >= 0 or self.high <= 0:
            raise ValueError(f"{self.name}: [{self.low}, {self.high}] is no range of {self.bits} bits")
        if self.top == -1:
            object.__setattr__(self, "top", self.high.bit_length() - 1)
        if self.top - self.high.bit_length() not in (-1, 0):
            raise ValueError(f"{self.name}: the exponent of a block cannot stand for 2**{self.top} steps")

    @property
    def fills(self) -> bool:
        """Whether the greatest significands have the leading bit that the exponent stands for."""
        return self.top < self.high.bit_length()

    @property
    def precision(self) -> int:
        """Significant bits of the greatest significands: ``digits``, or those of ``high``."""
        return self.digits or self.high.bit_length()

    @property
    def dtype(self) -> type[np.int32 | np.int64]:
        """What significands are kept in: int32, and int64 for E5M2, whose greatest takes 33 bits with its sign."""
        return np.int64 if self.high > np.iinfo(np.int32).max else np.int32

    @cached_property
    def table(self) -> Array:
        """int64 [2**bits]: the significand that each code stands for, out of range where it is reserved."""
        codes = np.arange(1 << self.bits, dtype=np.int64)
        sign = np.int64(1 << (self.bits - 1))
        if not (self.digits or self.sign_magnitude):
            return np.where(codes >= sign, codes - 2 * sign, codes)
        magnitudes = codes & (sign - 1)
        if self.digits:
            exponents, fractions = magnitudes >> (self.digits - 1), magnitudes & ((1 << (self.digits - 1)) - 1)
            normal = (fractions + (1 << (self.digits - 1))) << np.maximum(exponents - 1, 0)
            magnitudes = np.where(exponents > 0, normal, fractions)
        return np.where(codes >= sign, -magnitudes, magnitudes)

    @cached_property
    def _sorted(self) -> tuple[Array, Array]:
        """The significands in use in order, and their codes; -0 is never made."""
        values, codes = np.unique(self.table, return_index=True)
        used = (values >= self.low) & (values <= self.high)
        return values[used], codes[used]

    def round(self, ratio: Array, to_whole: Callable[[Array], Array]) -> Array:
        """``ratio`` (float64, in steps) on the element's grid, without its ends: float64, maybe beyond ``high``.

        Args:
            ratio: Any shape.
            to_whole: A rounding of float64 to whole numbers, as in ``_round.ROUNDINGS``.
        """
        if not self.digits:
            return to_whole(ratio)
        # The grid's step at ratio: 2**(exponent - (digits - 1)), and 1 among the subnormals.
        exponents = np.asarray((np.asarray(ratio).view(np.int64) >> 52) & 0x7FF)
        exponents -= 1023 + self.digits - 1
        np.maximum(exponents, 0, out=exponents)
        exponents <<= 52
        exponents += ONE
        steps = exponents.view(np.float64)
        return np.asarray(to_whole(ratio / steps) * steps)

    def encode(self, significands: Array) -> Array:
        """Codes of significands, uint8 or uint16 by ``bits``.

        Raises:
            ValueError: The element has no such significand.
        """
        values, codes = self._sorted
        at = np.minimum(np.searchsorted(values, significands), len(values) - 1)
        if not np.array_equal(values[at], significands):
            raise ValueError(f"{self.name} has no significand {_first(significands, values[at] != significands)}")
        return np.asarray(codes[at].astype(np.uint8 if self.bits <= 8 else np.uint16))

    def decode(self, codes: Array) -> Array:
        """Significands of codes as int64; a negative zero is 0.

        Raises:
            ValueError: A code is NaN, infinite or otherwise never made.
        """
        found = self.table[codes]
        wrong = (found < self.low) | (found > self.high)
        if wrong.any():
            raise ValueError(f"{self.name} reserves the code {_first(codes, wrong):#x}; the data is damaged or foreign")
        return np.asarray(found)


def _first(values: Array, wrong: Array) -> int:
    return int(values[wrong].flat[0])


def integer(bits: int, *, low: int | None = None, sign_magnitude: bool = False, top: int = -1) -> Element:
    """A signed integer of ``bits`` bits in +-(2**(bits - 1) - 1), or from ``low`` on."""
    high = (1 << (bits - 1)) - 1
    name, low = f"{'sm' if sign_magnitude else 'int'}{bits}", -high if low is None else low
    return Element(name=name, bits=bits, low=low, high=high, sign_magnitude=sign_magnitude, top=top)


def minifloat(name: str, exponent_bits: int, fraction_bits: int, high: int) -> Element:
    """A sign, ``exponent_bits`` and ``fraction_bits``, subnormals included; codes beyond ``high`` are reserved."""
    bits = 1 + exponent_bits + fraction_bits
    return Element(name=name, bits=bits, low=-high, high=high, digits=fraction_bits + 1)
