"""Microsoft floating point: msfp12 and msfp16, bounding boxes of 16 with an 8-bit exponent.

Elements are sign-magnitude, without a hidden bit: 1 + 3 bits in msfp12, 1 + 7 in msfp16. Source: Darvish Rouhani et
al., "Pushing the Limits of Narrow Precision Inferencing at Cloud Scale with Microsoft Floating Point", NeurIPS 2020.
The paper leaves rounding and the order of bits to the machine: nearest even and clamping are this project's choice, as
is the layout below; conformance with a device is not claimed.

Bytes of a block: the exponent E with one step = 2**(E - 127 - magnitude bits + 1), then the elements from the lowest
bit on, the sign on top. A negative zero is read as 0 and never made.
"""

from __future__ import annotations

from edgegate.quant.formats._element import integer
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import PowerOfTwo

FORMATS = tuple(
    BlockFormat(
        name=f"msfp{bits + 8}",
        element=integer(bits, sign_magnitude=True),
        block=16,
        scale=PowerOfTwo(fraction=bits - 2),
    )
    for bits in (4, 8)
)
