"""The rounding multiply of a rescale on a register, and the constants it needs.

    y = ((x - input_zero_point) * m + 2**(s-1) >> s) + output_zero_point

with everything constant folded into one 64-bit offset r and a shift past the upper half of the product:

    y = ((x << p) * m + r >> 32) >> (s + p - 32),  r = 2**(s+p-1) - input_zero_point*m*2**p + output_zero_point*2**(s+p)

which is the same number wherever nothing overflows; :func:`prepare` proves that from a bound on x or refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array
from edgegate.targets.schedules._kernel import Builder, Unsupported
from edgegate.targets.schedules._registers import Expr, bind, splat

UNIT = 1 << 30
"""The multiplier of a pure shift."""


class Constants:
    """An array with one value per output channel (or one for all), as registers read it.

    Args:
        builder: Takes the array as a parameter.
        data: One element, or one per channel.
        arrange: Gives the array in the order of the blocks' slots.
        pairs: The array belongs to :meth:`Registers.high`.
    """

    def __init__(
        self, builder: Builder, data: Array, arrange: Callable[[Array], Array], *, pairs: bool = False
    ) -> None:
        lanes = builder.registers.lanes
        self.single = data.size == 1
        spread = np.repeat(data.reshape(-1), lanes) if self.single else arrange(data.reshape(-1))
        self.dtype = f"{data.dtype.name}x{lanes}"
        self.buffer = builder.constant(builder.registers.pairs(spread) if pairs else spread)

    def at(self, slot: Expr) -> Expr:
        """The register for the lanes at ``slot``."""
        return bind(self.buffer.vload([0 if self.single else slot], dtype=self.dtype))


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A rescale in exact integers, one entry per channel or one for all.

    Attributes:
        multiplier: 0 or in [2**30, 2**31).
        shift: In [2, 62].
        input_zero_point: Taken off first.
        output_zero_point: Added last.
        bound: Greatest magnitude of x.
    """

    multiplier: Array
    shift: Array
    input_zero_point: int
    output_zero_point: int
    bound: int


def prepare(builder: Builder, scaling: Scaling, arrange: Callable[[Array], Array]) -> Callable[[Expr, Expr], Expr]:
    """``f(register, slot)`` that rescales a register of int32, unclipped."""
    m, s = np.broadcast_arrays(scaling.multiplier.reshape(-1), scaling.shift.reshape(-1))
    m = m.astype(np.int64)
    s = np.where(m == 0, 32, s.astype(np.int64))
    return _pure_shift(builder, scaling, m, s, arrange) or _multiply(builder, scaling, m, s, arrange)


def _pure_shift(
    builder: Builder, scaling: Scaling, m: Array, s: Array, arrange: Callable[[Array], Array]
) -> Callable[[Expr, Expr], Expr] | None:
    """``x + c >> k`` in 32 bits where every multiplier is 2**30 and nothing overflows."""
    k = s - 30
    if not np.all(m == UNIT) or k.min() < 1 or k.max() > 24:
        return None
    c = (1 << (k - 1)) - scaling.input_zero_point + (scaling.output_zero_point << k)
    if scaling.bound + np.abs(c).max() >= 1 << 31:
        return None
    offset = Constants(builder, c.astype(np.int32), arrange)
    shift = Constants(builder, k.astype(np.int32), arrange)
    return lambda x, slot: bind((x + offset.at(slot)) >> shift.at(slot))


def _multiply(
    builder: Builder, scaling: Scaling, m: Array, s: Array, arrange: Callable[[Array], Array]
) -> Callable[[Expr, Expr], Expr]:
    """The general case; ``p`` lifts the smallest shift to 32."""
    p = max(0, 32 - int(s.min()))
    total = s + p
    offset = [
        (1 << (int(t) - 1)) - scaling.input_zero_point * (int(f) << p) + (scaling.output_zero_point << int(t))
        for f, t in zip(m, total, strict=True)
    ]
    worst = (scaling.bound << p) * int(m.max()) + max(abs(o) for o in offset)
    lifted_out_of_range = p > 0 and scaling.bound << p >= 1 << 31
    if lifted_out_of_range or worst >= 1 << 63:
        raise Unsupported("the rescale does not fit 64 bits with its constants folded")
    registers = builder.registers
    factor = Constants(builder, m, arrange, pairs=True)
    rounding = Constants(builder, np.array(offset, np.int64), arrange, pairs=True)
    shift = Constants(builder, (total - 32).astype(np.int32), arrange)

    def scale(x: Expr, slot: Expr) -> Expr:
        lifted = x if p == 0 else bind(x << splat(p, "int32", registers.lanes))
        return bind(registers.high(lifted, factor.at(slot), rounding.at(slot)) >> shift.at(slot))

    return scale


def prepare_sums(
    builder: Builder, multiplier: Array, shift: Array, zero_point: int, arrange: Callable[[Array], Array]
) -> Callable[[Expr, Expr], Expr]:
    """``f(register, slot)`` that rescales a register of int64 to int32 by 16-bit multipliers, unclipped.

    Sums of 48 bits leave room for the multiplier and the rounding; the zero point joins the rounding.
    """
    lanes, wide = builder.registers.lanes, multiplier.reshape(-1).astype(np.int64)
    bits = shift.reshape(-1).astype(np.int64)
    rounding = (np.int64(1) << (bits - 1)) - zero_point * wide
    m, r, s = (Constants(builder, data, arrange) for data in (wide, rounding, bits))

    def scale(x: Expr, slot: Expr) -> Expr:
        return bind(((x * m.at(slot) + r.at(slot)) >> s.at(slot)).astype(f"int32x{lanes}"))

    return scale
