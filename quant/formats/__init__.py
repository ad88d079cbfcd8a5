"""Block formats: numbers stored as short integers or minifloats, with one scale per block.

    blocks = format_named("mxfp4").quantize(weights)   # [..., K], blocks along the last axis
    blocks.significands * blocks.scales[..., None]     # the stored values, exactly
    data = format_named("mxfp4").pack(blocks)

Families, one module each: ``grouped`` (int4_g32), ``bfp`` (bfp12_b64), ``amd_bfp16``, ``msfp``, ``mx``,
``mx_brevitas``, ``nvfp4``.

Quantizing what was quantized changes nothing in formats that clamp, apart from scales among the subnormals of float16
and E4M3, which are too coarse for it, and from ``mx_brevitas``; ``bump`` and ``truncate`` do change it: a block whose
greatest magnitude is -128 steps needs a larger exponent the second time.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from edgegate.quant.formats import amd_bfp16, bfp, grouped, msfp, mx, mx_brevitas, nvfp4
from edgegate.quant.formats._blocks import Blocks, IntegerScales
from edgegate.quant.formats._format import BlockFormat
from edgegate.quant.formats._scale import RULES

__all__ = ["FORMATS", "BlockFormat", "Blocks", "IntegerScales", "format_named"]

FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {f.name: f for family in (grouped, bfp, amd_bfp16, msfp, mx, mx_brevitas, nvfp4) for f in family.FORMATS}
)
"""Every format by name, with its default scale rule."""
ALIASES = {**bfp.ALIASES, **mx_brevitas.ALIASES}

FAMILIES = (
    "int<bits>_g<group>, bfp<bits + 8>_b<block>, msfp12, msfp16, mxint8, mxfp8_e4m3, mxfp8_e5m2, mxfp6_e3m2, "
    "mxfp6_e2m3, mxfp4, mxint<bits>_brevitas, nvfp4, bfp16_quark, bfp16_bump and bfp16_aie_trunc"
)
"""The formats' names, for people."""


def format_named(name: str) -> BlockFormat:
    """The format called ``name``: one of ``FORMATS``, maybe with the suffix ``-floor``, ``-even`` or ``-ceil``.

    ``bfp12_b32`` and ``bfp12`` are the same.

    Raises:
        ValueError: There is none; the message has the nearest names, and those of the families.
    """
    base, _, rule = name.partition("-")
    found = FORMATS.get(ALIASES.get(base, base))
    if found is not None and "-" not in name:
        return found
    if found is not None and rule in RULES:
        return found.with_rule(rule)
    if found is not None:
        raise ValueError(f"no scale rule is called {rule!r}; the rules are {', '.join(RULES)}")
    near = difflib.get_close_matches(base, [*FORMATS, *ALIASES])
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"no block format is called {name!r}; {hint}there are {FAMILIES}")
