"""brevitas quantizers with a scale per group: which block format each is, checked value by value.

A name says little: brevitas' MXInt8Weight has half the step of OCP's MXINT8 and cuts off what is above. So a format
is taken only if it stores the quantizer's own results, or for activations samples of many magnitudes, exactly. Weights
that are integers keep their own scales where no format's rules would choose these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat, format_named

FLOATS = {(4, 3): "mxfp8_e4m3", (5, 2): "mxfp8_e5m2", (2, 3): "mxfp6_e2m3", (3, 2): "mxfp6_e3m2", (2, 1): "mxfp4"}
"""Formats by the widths of exponent and mantissa."""
BLOCKS = (128, 64, 32, 16)
"""Sizes of blocks that all formats of integers have; a group may be several blocks."""
RULES = ("", "-floor", "-ceil", "-even")


def is_groupwise(out: Any) -> bool:
    """Whether a quantizer gave values with a scale per group."""
    return hasattr(out, "group_size")


def weight_format(proxy: Any, out: Any) -> tuple[str, torch.Tensor | None] | None:
    """The format that stores the quantized weights ``out`` as they are, and the scales, if its rules choose others.

    Returns:
        The name, and the scales by output channel, tap and block, float32; None if no format stores integers of so
        many bits in such groups, or they have zero points.
    """
    rows = _rows(out.value, proxy.group_dim)
    for name, made in _candidates(out):
        if np.array_equal(made.quantize(rows).values(), rows):
            return name, None
    if hasattr(out, "mantissa_bit_width") or bool(out.zero_point.any()):
        return None
    block = next((size for size in BLOCKS if int(out.group_size) % size == 0), None)
    steps = _rows(torch.broadcast_to(out.scale, out.value.shape), proxy.group_dim)
    found = None if block is None else _integers(np.rint(rows / steps), int(out.bit_width), block)
    return None if found is None else (found, torch.from_numpy(steps[..., ::block].astype(np.float32)))


def _integers(stored: Array, bits: int, block: int) -> str | None:
    """The format of integers for weights that are these: the one that has -2**(bits - 1), if that is among them."""
    most = max(int(-stored.min()), int(stored.max()))
    narrow = most < 1 << (bits - 1)
    try:
        return format_named(f"int{bits}_g{block}" if narrow else f"mxint{bits}_brevitas_b{block}").name
    except ValueError:  # too many bits
        return None


def activation_format(proxy: Any, out: Any, seen: Sequence[torch.Tensor]) -> str | None:
    """The format that does to activations what the quantizer does; None if there is none.

    Args:
        proxy: The quantizer, in eval mode.
        out: Something that it gave.
        seen: What it got.
    """
    generator = torch.Generator().manual_seed(0)
    spread = [torch.randn(x.shape, generator=generator) * 2.0**exponent for x in seen[:1] for exponent in (-20, 0, 3)]
    with torch.no_grad():
        pairs = [(x, proxy(x).value) for x in [*seen, *spread]]
    same = (name for name, made in _candidates(out) if all(_is_stored(made, proxy.group_dim, *pair) for pair in pairs))
    return next(same, None)


def _is_stored(made: BlockFormat, axis: int, x: torch.Tensor, wanted: torch.Tensor) -> bool:
    return np.array_equal(made.quantize(_rows(x, axis)).values(), _rows(wanted, axis))


def _candidates(out: Any) -> Iterator[tuple[str, BlockFormat]]:
    """Formats of the quantizer's element and group size, each with every scale rule."""
    size = int(out.group_size)
    if hasattr(out, "mantissa_bit_width"):
        bases = [FLOATS.get((int(out.exponent_bit_width), int(out.mantissa_bit_width)), "")] if size == 32 else []
    else:
        bits = int(out.bit_width)
        bases = ["mxint8"] if (bits, size) == (8, 32) else []
        bases += [f"mxint{bits}_brevitas_b{size}", f"bfp{bits + 8}_b{size}", f"int{bits}_g{size}"]
    for base in bases:
        for rule in RULES:
            try:
                made = format_named(base + rule)
            except ValueError:  # no such format, or it has no such rule
                continue
            yield made.name, made


def _rows(value: torch.Tensor, axis: int) -> Array:
    """Float64 with the axis of the groups last."""
    return np.moveaxis(value.detach().double().numpy(), axis, -1)
