"""Transforms of integers: T_X is rounded first and inverted after, so that no error of rounding reaches the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from edgegate.graph import Array
from edgegate.quant.transforms.transform import Transform

BITS = range(3, 9)
WORST_CONDITION = 1024.0
"""A rounded matrix whose singular values lie further apart is refused. The usual damping keeps those of WUSH within
sqrt(1 + d / 0.01), 58 for blocks of 32: a larger ratio is the rounding's, and amplifies errors of quantization."""
_INT16_BITS = 15


def rounded(transform: Transform, bits: int | Literal["pow2"] = 6) -> Transform | None:
    """T_X of integers, and its inverse transpose in float64 as T_W.

    Every row of a block is rounded to ``bits`` bits, ties to even, in steps of a power of two of its own, the least
    that fits; in units of the block's least step all are integers, at most ``2^(bits - 1) - 1`` times the ratio of
    two rows' steps. They fit int8 while rows are alike, as a Hadamard factor makes them, and int16 always: steps
    further apart are raised. The unit cancels, since T_W takes its inverse.

    Args:
        transform: What to round. One of integers is returned as it is.
        bits: Bits of a row's significands with their sign, 3 to 8; or "pow2": every entry is 0 or one of the seven
            powers of two up to the row's largest, with a sign, so that multiplying by it is a shift;
            ties go to the larger.

    Returns:
        None where a rounded block is singular or its condition exceeds ``WORST_CONDITION``.

    Raises:
        ValueError: Other bits.
    """
    if bits != "pow2" and bits not in BITS:
        raise ValueError(f"{bits} bits: choose {BITS[0]} to {BITS[-1]}, or 'pow2'")
    if transform.integer:
        return transform
    matrices = _integers(transform.matrices, bits)
    values = np.linalg.svd(matrices, compute_uv=False)
    if (values[:, 0] > WORST_CONDITION * values[:, -1]).any() or not values[:, 0].all():
        return None
    diagonal = None if transform.diagonal is None else np.abs(matrices[:, 0])
    inverse = np.linalg.inv(matrices).transpose(0, 2, 1)
    return replace(transform, matrices=matrices, weights_side=inverse, diagonal=diagonal, bits=bits)


def _integers(matrices: Array, bits: int | Literal["pow2"]) -> Array:
    widest = 7 if bits == "pow2" else bits - 1
    largest = np.abs(matrices).max(axis=2, keepdims=True)
    # The least power of two for which the largest entry rounds to less than 2^widest: frexp gives
    # largest = f * 2^e with f in [1/2, 1), and f * 2^widest may round up to 2^widest.
    steps = np.frexp(largest)[1] - widest
    limit = 64 if bits == "pow2" else 2**widest - 1
    steps = steps + (_round(np.ldexp(largest, -steps), bits) > limit)
    live = largest > 0
    least = np.where(live, steps, np.iinfo(np.int32).max).min(axis=1, keepdims=True)
    most = np.where(live, steps, np.iinfo(np.int32).min).max(axis=1, keepdims=True)
    least = np.maximum(least, most - (_INT16_BITS - widest))
    shifts = np.where(live, np.maximum(steps - least, 0), 0)
    return np.ldexp(_round(np.ldexp(matrices, -(least + shifts)), bits), shifts)


def _round(values: Array, bits: int | Literal["pow2"]) -> Array:
    whole: Array = np.rint(values)
    if bits != "pow2":
        return whole
    fraction, exponents = np.frexp(np.abs(values))
    powers = np.ldexp(np.where(fraction < 0.75, 0.5, 1.0), exponents)
    return np.copysign(np.where(powers >= 1, powers, np.abs(whole)), values)
