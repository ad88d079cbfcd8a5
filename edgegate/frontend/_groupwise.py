"""brevitas quantizers with a scale per group: which block format each is, checked value by value.

A name says little: brevitas' MXInt8Weight has half the step of OCP's MXINT8 and cuts off what is above. So a format
is taken only if it stores the quantizer's own results, or for activations samples of many magnitudes, exactly.
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
RULES = ("", "-floor", "-ceil", "-even")


def is_groupwise(out: Any) -> bool:
    """Whether a quantizer gave values with a scale per group."""
    return hasattr(out, "group_size")


def weight_format(proxy: Any, out: Any) -> str | None:
    """The format that stores the quantized weights ``out`` as they are; None if there is none."""
    rows = _rows(out.value, proxy.group_dim)
    return next((name for name, made in _candidates(out) if np.array_equal(made.quantize(rows).values(), rows)), None)


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
        bases += [f"bfp{bits + 8}_b{size}", f"int{bits}_g{size}"]
    for base in bases:
        for rule in RULES:
            try:
                yield base + rule, format_named(base + rule)
            except ValueError:  # no such format, or it has no such rule
                continue


def _rows(value: torch.Tensor, axis: int) -> Array:
    """Float64 with the axis of the groups last."""
    return np.moveaxis(value.detach().double().numpy(), axis, -1)
