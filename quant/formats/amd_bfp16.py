"""AMD XDNA2's BFP16 with blocks of 8, in the three behaviours that its own software has.

All: int8 mantissas, one shared exponent E, the greatest IEEE 754 exponent field of the block; a value is
m * 2**(E - 127 - 6).

* ``bfp16_quark``: Quark's ONNX operator BFPQuantizeDequantize as its configuration sets it (rounding mode 2): nearest
  even, clamped to +-127. So 1.99999 next to smaller values becomes 127/64. -128 is neither made nor read.
* ``bfp16_bump``: Quark's compiler kernel and its torch ``fake_quantize_bfp16``: where a mantissa would round to 128,
  or below -128, the exponent grows by one and the block is rounded again. So 1.99999 becomes 64 * 2**-5 = 2. The range
  is [-128, 127].
* ``bfp16_aie_trunc``: mlir-aie's host helper: low bits are dropped, which is toward -infinity, so that the smallest
  negative number becomes -1. The range is [-128, 127], and no mantissa can leave it.

Differences: Quark passes NaN and infinity on or makes them 0; here they are refused. At E = 254 there is no exponent to
grow to, and ``bfp16_bump`` clamps.

Bytes of a block: E, then 8 int8 mantissas: 9 bytes.
"""

from __future__ import annotations

from edgegate.quant.formats._element import integer
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import PowerOfTwo

EXPONENT = PowerOfTwo(fraction=6)

FORMATS = (
    BlockFormat(name="bfp16_quark", element=integer(8), block=8, scale=EXPONENT),
    BlockFormat(name="bfp16_bump", element=integer(8, low=-128), block=8, scale=EXPONENT, overflow="bump"),
    BlockFormat(name="bfp16_aie_trunc", element=integer(8, low=-128), block=8, scale=EXPONENT, rounding="truncate"),
)
