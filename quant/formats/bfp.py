"""Block floating point as d-Matrix names it: bfp{p + 8}_b{block}, p-bit mantissas and an 8-bit shared exponent.

``bfp12`` is ``bfp12_b32``: 4-bit mantissas, blocks of 32. Mantissas are symmetric, +-(2**(p - 1) - 1), nearest even
(dmx-compressor's ``BFP[4|8]{128}(SN)``). The exponent is the one of the block's greatest magnitude; magnitudes that
round beyond the greatest mantissa are clamped.

Bytes of a block: the exponent E with one step = 2**(E - 127 - (p - 2)), 0 to 254, then the two's complement mantissas,
p bits each, from the lowest bit on.
"""

from __future__ import annotations

from edgegate.quant.formats._element import integer
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import PowerOfTwo

DEFAULT_BLOCK = 32


def _format(bits: int, block: int) -> BlockFormat:
    suffix = "" if block == DEFAULT_BLOCK else f"_b{block}"
    return BlockFormat(
        name=f"bfp{bits + 8}{suffix}", element=integer(bits), block=block, scale=PowerOfTwo(fraction=bits - 2)
    )


FORMATS = tuple(_format(bits, block) for bits in range(2, 9) for block in (8, 16, 32, 64, 128))
ALIASES = {f"{f.name}_b{DEFAULT_BLOCK}": f.name for f in FORMATS if f.block == DEFAULT_BLOCK}
