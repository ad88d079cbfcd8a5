"""Integers in groups with a float16 scale: int{2..8}_g{16..256}, symmetric.

The scale is the greatest magnitude over the greatest significand, rounded up to a float16, so that nothing is
saturated (below 2**-24 it is 2**-24; a greatest magnitude beyond 65504 * high is saturated). The least significand is
-high: -2**(bits - 1) is neither made nor read.

Bytes of a block: the float16, little-endian, then the two's complement elements; int4 two to a byte, first one low.
"""

from __future__ import annotations

from edgegate.quant.formats._element import Element, integer
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import FloatScale

FLOAT16 = Element(name="float16", bits=16, low=-(65504 << 24), high=65504 << 24, digits=11)

FORMATS = tuple(
    BlockFormat(
        name=f"int{bits}_g{group}",
        element=integer(bits),
        block=group,
        scale=FloatScale(element=FLOAT16, exponent=-24),
        rule="ceil",
        default_rule="ceil",
    )
    for bits in range(2, 9)
    for group in (16, 32, 64, 128, 256)
)
