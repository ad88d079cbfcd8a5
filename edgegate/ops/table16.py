"""Table16: any function of one int16 value, by 513 knots and linear interpolation.

    index, fraction = (x >> 7) + 256, x & 127
    y = (table[index] << 7) + (table[index + 1] - table[index]) * fraction

The result carries 7 fractional bits; a Rescale follows. Source: TOSA 1.0.1, TABLE (int16 form).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import elementwise, spread
from edgegate.ops._op import Bound, Interval, Op, Sample

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Table16 (x, table) => (y) {
    one = Constant <value_int: int = 1> ()
    unit = Constant <value_int: int = 128> ()
    middle = Constant <value_int: int = 256> ()
    wide = Cast <to: int = 7> (x)
    fraction = Mod (wide, unit)
    whole = Sub (wide, fraction)
    steps = Div (whole, unit)
    index = Add (steps, middle)
    after = Add (index, one)
    knots = Cast <to: int = 7> (table)
    base = Gather (knots, index)
    next = Gather (knots, after)
    slope = Sub (next, base)
    raised = Mul (base, unit)
    part = Mul (slope, fraction)
    sum = Add (raised, part)
    y = Cast <to: int = 6> (sum)
}
"""


def reference(x: Array, table: Array) -> Array:
    """Interpolate.

    Args:
        x: int16, any shape.
        table: int16, shape [513]; knot ``i`` belongs to ``x = 128 * (i - 256)``. Neighbours differ by less
            than 2**15.

    Returns:
        int32 with 7 fractional bits.
    """
    wide = x.astype(np.int32)
    index, fraction = (wide >> 7) + 256, wide & 127
    knots = table.astype(np.int32)
    base = knots[index]
    return (base << 7) + (knots[index + 1] - base) * fraction


def scalar(x: Any, table: Any) -> Any:
    """One element, as a TIR expression; ``table`` is a tensor or buffer of 513 knots."""
    wide = x.astype("int32")
    index, fraction = (wide >> 7) + 256, wide & 127
    base = table[index].astype("int32")
    following = table[index + 1].astype("int32")
    return base * 128 + (following - base) * fraction


def bounds(x: Interval, table: Interval) -> Bound:
    """The knots around ``x``; slopes fit int16, as TOSA requires."""
    if table.data is None or table.data.shape != (513,):
        raise OverflowError("a 16-bit table must be a constant of 513 knots")
    knots = table.data.astype(np.int64)
    if np.abs(np.diff(knots)).max() >= 1 << 15:
        raise OverflowError("two neighbouring knots differ by 2**15 or more")
    reached = knots[(x.low >> 7) + 256 : (x.high >> 7) + 258]
    return Bound(output=Interval(low=int(reached.min()) << 7, high=int(reached.max()) << 7))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Steep and flat tables; every knot and its neighbours."""
    near = np.concatenate([np.arange(-32768, 32768, 128) + d for d in (0, 1, 64, 127)]).astype(np.int16)
    for table in (spread(rng, np.int16, (513,)) >> 1, np.linspace(-32768, 32767, 513).astype(np.int16)):
        yield Sample(inputs=(near.reshape(4, -1), table.astype(np.int16)))
        yield Sample(inputs=(spread(rng, np.int16, (3, 5, 7)), table.astype(np.int16)))


TABLE16 = Op(
    name="Table16", body=BODY, reference=reference, bounds=bounds, scalar=scalar,
    lower=elementwise(scalar, whole=(1,)), samples=samples,
)  # fmt: skip
