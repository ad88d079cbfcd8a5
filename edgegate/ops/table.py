"""Table: any function of one 8-bit value, by look-up.

    y = table[x + offset]

with 256 entries; ``offset`` is 128 for int8 and 0 for uint8. Source: TOSA 1.0.1, TABLE (int8 form).
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
Table <offset> (x, table) => (y) {
    base = Constant <value_int: int = @offset> ()
    wide = Cast <to: int = 7> (x)
    index = Add (wide, base)
    y = Gather (table, index)
}
"""


def reference(x: Array, table: Array, *, offset: int) -> Array:
    """Look ``x`` up.

    Args:
        x: int8 or uint8, any shape.
        table: int8, uint8 or int16, shape [256]; entry ``i`` belongs to ``x = i - offset``.
        offset: 128 for int8, 0 for uint8.
    """
    return table[x.astype(np.int64) + offset]


def scalar(x: Any, table: Any, *, offset: int) -> Any:
    """One element, as a TIR expression; ``table`` is a tensor or buffer of 256 entries."""
    index = x.astype("int32") + offset
    return table[index]


def bounds(x: Interval, table: Interval, *, offset: int) -> Bound:
    """The entries that ``x`` can reach."""
    if table.data is None or table.data.shape != (256,):
        raise OverflowError("a table must be a constant of 256 entries")
    if x.low + offset < 0 or x.high + offset > 255:
        raise OverflowError(f"the index [{x.low + offset}, {x.high + offset}] leaves the table")
    reached = table.data[x.low + offset : x.high + offset + 1]
    return Bound(output=Interval(low=int(reached.min()), high=int(reached.max())))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Every entry of random tables of each type."""
    for dtype, offset in ((np.int8, 128), (np.uint8, 0)):
        every = np.arange(-offset, 256 - offset).astype(dtype)
        for kind in (np.int8, np.uint8, np.int16):
            table = spread(rng, kind, (256,))
            yield Sample(inputs=(rng.permutation(every).reshape(2, 128), table), attributes={"offset": offset})


TABLE = Op(
    name="Table", body=BODY, reference=reference, bounds=bounds, scalar=scalar, lower=elementwise(scalar, whole=(1,)),
    samples=samples,
)  # fmt: skip
