"""Gates as constant arrays and one loop over them: the smallest form."""

from __future__ import annotations

import numpy as np

from edgegate.logic import Netlist
from edgegate.logic.formula import columns, formulas, operations, written
from edgegate.logic.listing import listing_of, narrowed
from edgegate.passes.logic import schedule
from edgegate.targets.c_code.core import Core, constants, smallest

LOOP = """\
static void gates(void)
{
    const operand *p = operands;
    uint32_t r;
    for (r = 0; r < %(runs)d; ++r) {
        uint32_t n = run_lengths[r];
        switch (run_tables[r]) {
%(cases)s        default:
            break;
        }
    }
}
"""
CASE = """\
        case %(table)d:
            for (; n; --n, p += %(stride)d)
                s[p[%(last)d]] = (W)(%(value)s);
            break;
"""
WINDOW = 1000
"""Gates that are sorted at a time: a third less memory than all at once, for a twentieth more data."""
CODE = 40
"""Bytes of instructions of a case: an estimate."""


def tabled(netlist: Netlist) -> Core:
    """The gates in windows, level by level."""
    listing = listing_of(schedule(narrowed(netlist)), WINDOW)
    used = [columns(table) for table in listing.tables.tolist()]
    starts, lengths = listing.starts.tolist(), np.diff(listing.starts)
    parts = [listing.operands[a:b][:, [*c, 3]].reshape(-1) for a, b, c in zip(starts, starts[1:], used, strict=False)]
    operands = np.concatenate([np.zeros(0, np.int32), *parts])
    kinds = sorted({*listing.tables.tolist()})
    text = f"typedef {smallest(operands)[0]} operand;\n\n" + "\n".join([
        constants("operands", operands, "operand"), constants("run_tables", listing.tables),
        constants("run_lengths", lengths),
        LOOP % {"runs": len(lengths), "cases": "".join(map(_case, kinds))},
    ])  # fmt: skip
    sizes = ((operands, len(operands)), (listing.tables, len(lengths)), (lengths, len(lengths)))
    table, counts = formulas(), zip(listing.tables.tolist(), lengths.tolist(), strict=True)
    return Core(
        slots=listing.slots, outputs=listing.outputs, text=text, gates=len(listing.operands),
        operations=sum(operations(table[t]) * n for t, n in counts), accesses=len(operands), code=CODE * len(kinds),
        constants=sum(smallest(data)[1] * count for data, count in sizes),
    )  # fmt: skip


def _case(table: int) -> str:
    """How a run of gates of one table is computed."""
    read = columns(table)
    names = [""] * 3
    for place, j in enumerate(read):
        names[j] = f"s[p[{place}]]"
    value = written(formulas()[table], names, "0u", "~(W)0")
    return CASE % {"table": table, "stride": len(read) + 1, "last": len(read), "value": value}
