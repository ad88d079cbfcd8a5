"""Activation functions by name, and what else a scalar function may turn out to be.

Functions are compared in float64, at points that are dense where activations bend. Two formulas of one
function differ by the rounding of their float32 constants, different activations by much more (GELU and
its tanh form by 5e-4).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgegate.graph import Array
from edgegate.quant.scalar_ops import SELU_ALPHA, SELU_GAMMA, erf, sigmoid, softplus

Function = Callable[[Array], Array]
_TAIL = np.array([15.0, 20.0, 30.0, 50.0, 100.0, 1e3, 1e4])
GRID = np.concatenate([-_TAIL[::-1], np.linspace(-12, 12, 4801), _TAIL])
"""Where functions are compared: float64 [4815]."""
_FAR, _NEAR = 1e30, 12.0


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


KNOWN: dict[str, Function] = {
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "HardSigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "SiLU": lambda x: x * sigmoid(x),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "GELU": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "GELUTanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "QuickGELU": lambda x: x * sigmoid(1.702 * x),
    "GoLU": lambda x: x * np.exp(-np.exp(-x)),
    "Mish": lambda x: x * np.tanh(softplus(x)),
    "Softplus": softplus,
    "LogSigmoid": lambda x: -softplus(-x),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "ELU": _elu,
    "SELU": lambda x: SELU_GAMMA * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "SquaredReLU": lambda x: np.maximum(x, 0) ** 2,
    "Square": np.square,
    "Abs": np.abs,
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: 1 / x,
}
"""Name -> meaning: float64 to float64, elementwise."""
_VALUES: dict[str, Array] = {}


def name(function: Function) -> str | None:
    """The name of the activation that ``function`` is, or None.

    Far out a formula may overflow where the activation does not: log(sigmoid(x)).
    """
    values = function(GRID)
    counts = np.isfinite(values) | (np.abs(GRID) <= _NEAR)
    with np.errstate(all="ignore"):  # beyond their domain functions are NaN, and compared as that
        for known, meaning in KNOWN.items():
            if known not in _VALUES:
                _VALUES[known] = meaning(GRID)
            if same(values[counts], _VALUES[known][counts]):
                return known
    return None


def same(a: Array, b: Array) -> bool:
    """Whether two functions have equal values up to the rounding of float32 constants."""
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-6, equal_nan=True))


def bounds(function: Function) -> tuple[float, float] | None:
    """(low, high) if ``function`` is clip(x, low, high), infinite where it does not clip; else None."""
    low, high = (float(v) for v in function(np.array([-_FAR, _FAR])))
    low, high = -math.inf if low <= -_FAR else low, math.inf if high >= _FAR else high
    if not low < high or not same(function(GRID), np.clip(GRID, low, high)):
        return None
    return low, high


def line(function: Function) -> tuple[float, float] | None:
    """(slope, offset) if ``function`` is a line; else None."""
    offset, end = (float(v) for v in function(np.array([0.0, 1.0])))
    slope = end - offset
    if not math.isfinite(slope) or not math.isfinite(offset):
        return None
    wanted = slope * GRID + offset
    close = np.allclose(function(GRID), wanted, rtol=1e-9, atol=1e-9 * max(abs(slope), abs(offset)))
    return (slope, offset) if close else None


def is_bounded(function: Function) -> bool:
    """Whether all values lie within [0, 1], as those of a gate do."""
    values = function(GRID)
    return bool((values >= 0).all() and (values <= 1).all())
