"""The formats once more: slowly, in rational arithmetic, from the tables of their specifications."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def floor_log2(x: Fraction) -> int:
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if power(guess) <= x else guess - 1


def minifloat_grid(exponent_bits: int, fraction_bits: int, bias: int, limit: float) -> list[Fraction]:
    """Every non-negative value, by the formula of IEEE 754 and OCP: the place in the list is the code."""
    grid = []
    for exponent in range(1 << exponent_bits):
        for fraction in range(1 << fraction_bits):
            part = Fraction(fraction, 1 << fraction_bits)
            grid.append(power(exponent - bias) * (1 + part) if exponent else power(1 - bias) * part)
    return [value for value in grid if value <= Fraction(limit)]


def integer_grid(bits: int) -> list[Fraction]:
    """Integers with the binary point behind the first magnitude bit, as MXINT8 has it."""
    return [Fraction(i, 1 << (bits - 2)) for i in range(1 << (bits - 1))]


@dataclass(frozen=True)
class Spec:
    """Non-negative values relative to the scale, exponent of their largest power of two, significant bits."""

    grid: list[Fraction]
    emax: int
    digits: int
    rule: str = "floor"
    rounding: str = "half_even"
    extra_low: bool = False
    bump: bool = False


SPECS = {
    "mxint8": Spec(integer_grid(8), 0, 7),
    "mxfp8_e4m3": Spec(minifloat_grid(4, 3, 7, 448), 8, 4),
    "mxfp8_e5m2": Spec(minifloat_grid(5, 2, 15, 57344), 15, 3),
    "mxfp6_e3m2": Spec(minifloat_grid(3, 2, 3, 28), 4, 3),
    "mxfp6_e2m3": Spec(minifloat_grid(2, 3, 1, 7.5), 2, 4),
    "mxfp4": Spec(minifloat_grid(2, 1, 1, 6), 2, 2),
    "bfp12": Spec(integer_grid(4), 0, 3),
    "bfp11_b8": Spec(integer_grid(3), 0, 2),
    "bfp16_b16": Spec(integer_grid(8), 0, 7),
    "bfp10_b64": Spec(integer_grid(2), 0, 1),
    "msfp12": Spec(integer_grid(4), 0, 3),
    "msfp16": Spec(integer_grid(8), 0, 7),
    "bfp16_quark": Spec(integer_grid(8), 0, 7),
    "bfp16_bump": Spec(integer_grid(8), 0, 7, extra_low=True, bump=True),
    "bfp16_aie_trunc": Spec(integer_grid(8), 0, 7, extra_low=True, rounding="truncate"),
    "mxfp4-ceil": Spec(minifloat_grid(2, 1, 1, 6), 2, 2, rule="ceil"),
    "mxfp4-even": Spec(minifloat_grid(2, 1, 1, 6), 2, 2, rule="even"),
    "mxfp8_e4m3-ceil": Spec(minifloat_grid(4, 3, 7, 448), 8, 4, rule="ceil"),
    "mxfp8_e4m3-even": Spec(minifloat_grid(4, 3, 7, 448), 8, 4, rule="even"),
    "mxint8-ceil": Spec(integer_grid(8), 0, 7, rule="ceil"),
    "mxint8-even": Spec(integer_grid(8), 0, 7, rule="even"),
    "bfp12-ceil": Spec(integer_grid(4), 0, 3, rule="ceil"),
}


def scale_exponent(spec: Spec, greatest: Fraction) -> int:
    """The exponent of the scale X of a block, by the rule."""
    if not greatest:
        return -127
    exponent = floor_log2(greatest)
    if spec.rule == "even":  # round to `digits` significant bits, ties away, and look again
        exponent = floor_log2(greatest + power(exponent - spec.digits))
    exponent -= spec.emax
    if spec.rule == "ceil":
        exponent += greatest > spec.grid[-1] * power(exponent)
    return min(max(exponent, -127), 127)


def nearest(grid: list[Fraction], x: Fraction) -> Fraction:
    """The nearest of ``grid``, ties to the even code, saturated."""
    if x < 0:
        return -nearest(grid, -x)
    below = bisect_right(grid, x) - 1
    if below == len(grid) - 1:
        return grid[-1]
    low, high = x - grid[below], grid[below + 1] - x
    return grid[below + (high < low or (high == low and below % 2))]


def stored(spec: Spec, x: Fraction, scale: Fraction) -> Fraction:
    """``x`` in an element; beyond the ends where ``bump`` has to see it."""
    ratio, step = x / scale, spec.grid[1]
    if spec.rounding == "truncate":
        ratio = (ratio / step).__floor__() * step
    elif spec.bump:
        ratio = round(ratio / step) * step  # Python rounds Fractions half to even
    else:
        return nearest(spec.grid, ratio) * scale
    return ratio * scale


def quantized(name: str, block: list[float]) -> list[Fraction]:
    """The values that a block of a format with powers of two stores."""
    spec, exact = SPECS[name], [Fraction(x) for x in block]
    exponent = scale_exponent(spec, max(map(abs, exact)))
    values = [stored(spec, x, power(exponent)) for x in exact]
    high = spec.grid[-1]
    low = -high - (spec.grid[1] if spec.extra_low else 0)
    if spec.bump and exponent < 127 and not all(low <= v / power(exponent) <= high for v in values):
        exponent += 1
        values = [stored(spec, x, power(exponent)) for x in exact]
    return [min(max(v, low * power(exponent)), high * power(exponent)) for v in values]


FLOAT16 = minifloat_grid(5, 10, 15, 65504)[1:]
E4M3 = minifloat_grid(4, 3, 7, 448)[1:]


def grouped(bits: int, block: list[float]) -> list[Fraction]:
    """int{bits} with the least float16 that is no less than greatest / high."""
    high = (1 << (bits - 1)) - 1
    wanted = max(abs(Fraction(x)) for x in block) / high
    scale = next((s for s in FLOAT16 if s >= wanted), FLOAT16[-1])
    return [max(-high, min(high, round(Fraction(x) / scale))) * scale for x in block]


def nvfp4(values: list[float]) -> list[Fraction]:
    """NVFP4 of a whole tensor whose length is a multiple of 16."""
    exact = [Fraction(x) for x in values]
    limits = np.finfo(np.float32)
    wanted = float(max(map(abs, exact))) / 2688
    tensor = Fraction(float(np.float32(min(max(wanted, float(limits.tiny)), float(limits.max)))))
    found: list[Fraction] = []
    for i in range(0, len(exact), 16):
        block = exact[i : i + 16]
        scale = max(nearest([Fraction(0), *E4M3], max(map(abs, block)) / (6 * tensor)), E4M3[0]) * tensor
        found += [nearest(SPECS["mxfp4"].grid, x / scale) * scale for x in block]
    return found
