"""OCP Microscaling formats (MX) 1.0: blocks of 32 with an E8M0 scale.

| format      | element        | bias | greatest     | smallest step |
|-------------|----------------|------|--------------|---------------|
| mxint8      | int8 * 2**-6   |      | 127/64       | 2**-6         |
| mxfp8_e4m3  | E4M3 (no Inf)  | 7    | 448          | 2**-9         |
| mxfp8_e5m2  | E5M2           | 15   | 57344        | 2**-16        |
| mxfp6_e3m2  | E3M2           | 3    | 28           | 2**-4         |
| mxfp6_e2m3  | E2M3           | 1    | 7.5          | 2**-3         |
| mxfp4       | E2M1           | 1    | 6            | 2**-1         |

Elements are rounded to nearest even and saturated. The default scale rule is the specification's (section 6.3), floor;
``-even`` and ``-ceil`` are what torchao and Quark offer beside it. What the specification leaves open is: an all-zero
block has the scale code 0, scales below 2**-127 and beyond 2**127 become these, NaN and infinity are refused, and the
codes of NaN and infinity, -128 of mxint8 and the scale code 0xff are not read.

Bytes of a block: the E8M0 code X, one step = 2**(X - 127) * smallest step, then the 32 elements (sign, exponent,
fraction, from the top) from the lowest bit on: 4-bit ones two to a byte, the first one low; four 6-bit ones in three
bytes.
"""

from __future__ import annotations

from edgegate.quant.formats._element import Element, integer, minifloat
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import PowerOfTwo

E4M3 = minifloat("e4m3", 4, 3, 448 << 9)
E2M1 = minifloat("e2m1", 2, 1, 12)


def _format(name: str, element: Element, fraction: int) -> BlockFormat:
    return BlockFormat(name=name, element=element, block=32, scale=PowerOfTwo(fraction=fraction))


FORMATS = (
    _format("mxint8", integer(8), 6),
    _format("mxfp8_e4m3", E4M3, 9),
    _format("mxfp8_e5m2", minifloat("e5m2", 5, 2, 57344 << 16), 16),
    _format("mxfp6_e3m2", minifloat("e3m2", 3, 2, 28 << 4), 4),
    _format("mxfp6_e2m3", minifloat("e2m3", 2, 3, 60), 3),
    _format("mxfp4", E2M1, 1),
)
