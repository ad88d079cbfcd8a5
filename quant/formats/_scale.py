"""What one block's scale is stored in, and how it is chosen from the block's greatest magnitude.

A scale here is the real value of one step of a significand, as float64, and always positive: an all-zero block gets
the least one. The scale rule says what happens when the greatest magnitude is no step of the scale:

* ``floor``: the scale below. Power of two: that of the greatest magnitude's leading bit (OCP MX 1.0, section 6.3), so
  magnitudes beyond the element's greatest are saturated. The only rule of elements whose ``top`` is beyond ``high``.
* ``even``: the nearest scale. Power of two: that of the greatest magnitude once rounded to the element's precision
  (Quark's and torchao's "even"), which is one more than ``floor`` exactly where rounding would carry.
* ``ceil``: the scale above: nothing is saturated. Power of two: the least that holds the greatest magnitude
  (torchao's RCEIL, not its CEIL, which rounds the logarithm of the magnitude alone).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats._element import Element

RULES: dict[str, Callable[[Array], Array]] = {"floor": np.floor, "even": np.rint, "ceil": np.ceil}
"""The rules, with what each does to a quotient on a float's grid."""
BIAS, MOST = 127, 254
"""E8M0: a code stands for 2**(code - 127); 255 is NaN. The exponent fields of float32 are the same."""


@dataclass(frozen=True, kw_only=True)
class PowerOfTwo:
    """An 8-bit exponent: OCP's E8M0, and the shared exponent of block floating point.

    Attributes:
        fraction: Fraction bits of the element: code ``c`` says that one step is ``2**(c - 127 - fraction)``.
    """

    fraction: int
    bits: int = 8
    tensor: bool = False

    def choose(self, greatest: Array, element: Element, rule: str, tensor: float) -> Array:
        """The power of two by the rule, its code kept in [0, 254]; 0 for an all-zero block."""
        fractions, exponents = np.frexp(greatest)  # greatest == fractions * 2**exponents, fractions in [1/2, 1)
        exponents = exponents - 1 - element.top
        if rule == "even":
            exponents += fractions >= 1 - 2.0 ** -(element.precision + 1)
        elif rule == "ceil":
            exponents += fractions > element.high / 2 ** (element.top + 1)
        least = -BIAS - self.fraction
        exponents = np.where(greatest > 0, np.clip(exponents, least, least + MOST), least)
        return np.asarray(np.ldexp(1.0, exponents))

    def encode(self, scales: Array, tensor: float) -> Array:
        """Codes of powers of two."""
        fractions, exponents = np.frexp(scales)
        codes = exponents - 1 + BIAS + self.fraction
        if not ((fractions == 0.5) & (codes >= 0) & (codes <= MOST)).all():
            raise ValueError("a scale is no power of two that an 8-bit exponent holds")
        return np.asarray(codes.astype(np.uint8))

    def decode(self, codes: Array, tensor: float) -> Array:
        """Powers of two of codes."""
        if (codes > MOST).any():
            raise ValueError("the scale code 0xff is NaN; the data is damaged or foreign")
        return np.asarray(np.ldexp(1.0, codes.astype(np.int32) - BIAS - self.fraction))

    def most(self, tensor: float) -> float:
        """The greatest power of two."""
        return 2.0 ** (MOST - BIAS - self.fraction)


@dataclass(frozen=True, kw_only=True)
class FloatScale:
    """A small float of positive sign, maybe times one float32 for the whole tensor.

    Attributes:
        element: The float: float16, or E4M3.
        exponent: One step of a significand is ``element's significand * 2**exponent * tensor``.
        tensor: There is a tensor scale.
    """

    element: Element
    exponent: int
    tensor: bool = False

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.element.bits

    def choose(self, greatest: Array, element: Element, rule: str, tensor: float) -> Array:
        """``greatest / high`` on the float's grid, kept within [smallest subnormal, greatest]."""
        unit = self._unit(tensor)
        with np.errstate(over="ignore", under="ignore"):  # infinity becomes the greatest, 0 the least
            wanted = self.element.round(np.asarray(greatest / (element.high * unit)), RULES[rule])
        kept = np.clip(wanted, 1, self.element.high)
        return np.asarray(kept * unit)

    def encode(self, scales: Array, tensor: float) -> Array:
        """Codes of multiples of the unit that the float has."""
        multiples = scales / self._unit(tensor)
        whole = np.where(np.rint(multiples) == multiples, multiples, -1)
        if not ((whole >= 1) & (whole <= self.element.high)).all():
            raise ValueError(f"a scale is no positive {self.element.name}")
        return self.element.encode(whole.astype(np.int64))

    def decode(self, codes: Array, tensor: float) -> Array:
        """Scales of codes."""
        significands = self.element.decode(codes)
        if (significands <= 0).any():
            raise ValueError("a scale is zero or negative; the data is damaged or foreign")
        return np.asarray(significands * self._unit(tensor))

    def most(self, tensor: float) -> float:
        """The greatest scale."""
        return self.element.high * self._unit(tensor)

    def of_tensor(self, greatest: float, element: Element) -> float:
        """The tensor scale that lets the greatest block use the greatest code: float32, normal."""
        limits = np.finfo(np.float32)
        wanted = greatest / (element.high * self.element.high * 2.0**self.exponent)
        return float(np.float32(min(max(wanted, float(limits.tiny)), float(limits.max))))

    def _unit(self, tensor: float) -> float:
        return tensor * 2.0**self.exponent
