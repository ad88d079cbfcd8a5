"""How a real number becomes an integer, and a quotient that never rounds the wrong way before that.

Every function of :data:`ROUNDINGS` takes float64 and returns whole float64 numbers, exactly: a fraction is found by
subtraction, which is exact, never by adding one half, which rounds.
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


def quotient(x: Array, steps: Array) -> Array:
    """``x / steps`` in float64, moved by one last place where its rounding crossed a multiple of one half.

    So every rounding of the result to a grid whose borders are multiples of one half (integers, and minifloats in
    units of their smallest step) is the rounding of the exact quotient. A float64 quotient alone may land on a tie
    that the exact one misses, or on 0 from below.

    Args:
        x: float64.
        steps: float64, positive, broadcastable to ``x``; at most 29 significant bits, so that a step times a
            multiple of one half below 2**24 is exact.
    """
    with np.errstate(over="ignore", under="ignore"):
        ratio = np.asarray(x / steps)
        doubled = ratio * 2
        at = np.nonzero(np.rint(doubled) == doubled)
        near, wide = ratio[at], np.broadcast_to(steps, x.shape)[at]
        back = near * wide
        goal = np.where(x[at] > back, np.inf, np.where(x[at] < back, -np.inf, near))
        ratio[at] = np.nextafter(near, goal)
    return ratio
