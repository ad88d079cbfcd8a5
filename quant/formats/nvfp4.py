"""NVIDIA's NVFP4: E2M1 in blocks of 16, an E4M3 scale per block, and a float32 scale per tensor.

The tensor scale is the tensor's greatest magnitude / (6 * 448), as a normal float32, so that the greatest block has the
greatest block scale. A block's scale is its greatest magnitude / (6 * tensor scale), rounded to E4M3 by the rule: even
(to nearest) by default, and kept within [2**-9, 448]. Rounding down saturates up to 1/17 of the block's range; rule
``ceil`` saturates nothing. Elements are rounded from the real numbers to nearest even, with no rounding between.

``Blocks.scales`` is the real value of one step, tensor scale * E4M3 / 2; ``Blocks.tensor_scale`` and
``Blocks.block_scales`` (E4M3 / 2) are its factors.

Bytes: the tensor scale as a little-endian float32; then per block the E4M3 code and 16 elements, two to a byte, the
first one low. Block scales that are 0, negative or NaN are not read.
"""

from __future__ import annotations

from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import FloatScale
from edgegate.quant.formats.mx import E2M1, E4M3

FORMATS = (
    BlockFormat(
        name="nvfp4",
        element=E2M1,
        block=16,
        scale=FloatScale(element=E4M3, exponent=-10, tensor=True),
        rule="even",
        default_rule="even",
    ),
)
