"""Scalar functions as lookup tables: 256 entries for 8-bit inputs, 513 knots for 16-bit ones.

Computed in float64 from the function's own meaning, rounded once, half up, saturated. An infinite result
saturates (``log(0)`` is the least stored value); an undefined one is refused.

Source: TOSA 1.0.1, TABLE.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgegate.errors import CompileError
from edgegate.graph import Array
from edgegate.quant.storage import Storage, half_up

Function = Callable[[Array], Array]
KNOTS, STEP_BITS = 513, 7
"""A 16-bit table has a knot every 2**7 stored values, and one past the end."""


def entries(function: Function, source: Storage, target: Storage, *, name: str) -> Array:
    """The table of an 8-bit input: entry ``i`` belongs to the stored value ``source.low + i``.

    Args:
        function: Elementwise, float64 to float64.
        source: The input's storage, int8 or uint8.
        target: The output's storage, any.
        name: Of the function or its node, for the error.

    Returns:
        [256], dtype of ``target``.

    Raises:
        CompileError: The function is undefined at a stored input.
    """
    if source.dtype == "int16":
        raise ValueError("16-bit inputs take knots, not entries")
    stored = np.arange(source.low, source.high + 1)
    return target.quantize(_defined(function, source.dequantize(stored), name))


def knots(function: Function, source: Storage, target: Storage, *, name: str) -> tuple[Array, float]:
    """The table of a 16-bit input: knot ``i`` belongs to the stored value ``128 * (i - 256)``.

    Between knots the table is linear, and its result carries 7 more fractional bits:
    ``real = scale / 128 * Table16(x)``. Knots hold the real value in steps of their own scale and know no
    zero point; the Rescale that follows brings them to ``target``, and clips.

    The scale is the output's for a 16-bit output, and 2**-6 of it for an 8-bit one: |stored - zero point|
    is at most 255, so knots reach twice as far as the output, and the piece in which it saturates keeps its
    slope. It is doubled once where neighbours would differ by 2**15 or more.

    Args:
        function: Elementwise, float64 to float64.
        source: The input's storage, int16.
        target: The output's storage, any.
        name: Of the function or its node, for the error.

    A function that ends on one side of zero, like the square root, goes on flat from there: 16-bit storage is
    symmetric, so it holds both sides even if the input never does.

    Returns:
        int16 [513], neighbours less than 2**15 apart; and the scale of the knots.

    Raises:
        CompileError: The function is undefined at a knot within the input's range.
    """
    if source.dtype != "int16":
        raise ValueError("8-bit inputs take entries, not knots")
    at = np.arange(KNOTS) - (KNOTS - 1) // 2
    x = at.astype(np.float64) * (1 << STEP_BITS) * source.scale
    values = _defined(partial(_onward, function), x[:-1], name)
    # The last knot lies one past the greatest input: it only shapes the last piece, so a function that
    # ends there goes on flat.
    last = np.asarray(function(x[-1:]), np.float64)
    values = np.append(values, np.where(np.isnan(last), values[-1:], last))
    scale = target.scale if target.dtype == "int16" else target.scale / 64
    stored = _int16(values, scale)
    if np.abs(np.diff(stored)).max() >= 1 << 15:
        scale *= 2
        stored = np.clip(_int16(values, scale), -(1 << 14), (1 << 14) - 1)
    return stored.astype(np.int16), scale


def _int16(values: Array, scale: float) -> Array:
    return np.clip(half_up(values / scale), -(1 << 15), (1 << 15) - 1)


def _onward(function: Function, x: Array) -> Array:
    """``function(x)``; where it is undefined from some point on, on one side of zero, its last value before it."""
    y = np.asarray(function(x), np.float64)
    sound = ~np.isnan(y)
    for side in (x < 0, x > 0):
        at = np.flatnonzero(sound)
        if at.size and sound[~side].all() and at.size == at[-1] - at[0] + 1:
            return y[np.clip(np.arange(y.size), at[0], at[-1])]
    return y


def _defined(function: Function, x: Array, name: str) -> Array:
    y = np.asarray(function(x), np.float64)
    bad = np.isnan(y)
    if bad.any():
        first = float(x[np.argmax(bad)])
        count = f"{int(bad.sum())} of {x.size} values"
        what = f"is undefined at {first:.6g}, which its stored input can hold ({count})"
        raise CompileError(name, what, "clamp its input to where it is defined")
    return y
