"""How a real number becomes an integer.

Every function of :data:`ROUNDINGS` takes float64 and returns whole float64 numbers, exactly: a fraction is found by
subtraction, which is exact, never by adding one half, which rounds.

What is rounded is a float64 quotient x / s, itself rounded; that never changes the answer. Let t be a border of the
rounding, a multiple of one half, with t * s exact in float64. If x != t * s then |x - t * s| is at least one last place
of t * s, so |x / s - t| is more than half a last place of t, and the float64 quotient lies strictly on the same side of
t as the exact one. (Where t * s is a power of two, the last place below it is half as large, but then so is t, and so
is its own.) Only a quotient that underflows to 0 loses its side, which ``truncate`` has to be told.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgegate.graph import Array


def half_even(x: Array) -> Array:
    """The nearest integer, ties to even: IEEE 754 roundTiesToEven, and what OCP MX asks for."""
    return np.asarray(np.rint(x))


def half_away(x: Array) -> Array:
    """The nearest integer, ties away from zero: microxcaling's "nearest"."""
    whole = np.trunc(x)
    return np.asarray(whole + np.copysign(np.abs(x - whole) >= 0.5, x))


def half_up(x: Array) -> Array:
    """The nearest integer, ties toward +infinity: AMD's DPU."""
    floor = np.floor(x)
    return np.asarray(floor + (x - floor >= 0.5))


def truncate(x: Array) -> Array:
    """The greatest integer below: what dropping the low bits of a two's complement number does (AIE2P)."""
    return np.asarray(np.floor(x))


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "half_even": half_even,
    "half_away": half_away,
    "half_up": half_up,
    "truncate": truncate,
}
