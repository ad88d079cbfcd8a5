"""Integers in blocks with half the step of OCP's MX: mxint{2..8}_brevitas_b{16..128}, what brevitas calls MXInt8.

    scale = 2**floor(log2(greatest magnitude)) / 2**(bits - 1), significands in [-2**(bits - 1), 2**(bits - 1) - 1]

so the power of two itself would be 2**(bits - 1) steps: what is beyond the greatest significand is cut off, up to half
of a magnitude. Of -1.9 and 1.9, ``mxint8_brevitas`` keeps -1 and 127/128, ``mxint8`` both. Rounding is to nearest even.
``mxint8_brevitas`` is ``mxint8_brevitas_b32``. Quantizing what was quantized does not keep it: once a block is cut off
below the power of two, the next scale is half of the last. Who stores such numbers says their scales.

Source: brevitas 0.13, ``brevitas.quant.mx_quant_ocp``: MXInt8Weight and MXInt8Act, and their like of another
``bit_width`` and ``group_size``, with ``narrow_range = False``. It is the same to the bit, with these differences:

* brevitas takes the logarithm in float32, which is a whole number for greatest magnitudes within some last places below
  a power of two (from 2**3 up and 2**-2 down): there its scale is twice this one. Here exponents are exact.
* brevitas has no scale below 1e-10 / 2**(bits - 1), no power of two; here the least is 2**-127 / 2**(bits - 1). Blocks
  whose greatest magnitude is below 2**-33 differ; zeros are zeros in both.

Bytes of a block: the code of the power of two, E8M0 (one step = 2**(E - 127 - (bits - 1))), then the two's complement
significands from the lowest bit on.
"""

from __future__ import annotations

from edgegate.quant.formats._element import integer
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import PowerOfTwo

DEFAULT_BLOCK = 32


def _format(bits: int, block: int) -> BlockFormat:
    suffix = "" if block == DEFAULT_BLOCK else f"_b{block}"
    element = integer(bits, low=-(1 << (bits - 1)), top=bits - 1)
    scale = PowerOfTwo(fraction=bits - 1)
    return BlockFormat(name=f"mxint{bits}_brevitas{suffix}", element=element, block=block, scale=scale)


FORMATS = tuple(_format(bits, block) for bits in range(2, 9) for block in (16, 32, 64, 128))
ALIASES = {f"{f.name}_b{DEFAULT_BLOCK}": f.name for f in FORMATS if f.block == DEFAULT_BLOCK}
