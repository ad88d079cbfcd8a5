"""Sums as gates, for the form that has a statement for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgegate.logic import GroupSum
from edgegate.logic.listing import narrowed
from edgegate.passes.logic import carry_save, schedule
from edgegate.targets._design import Design, Output


def with_adders(design: Design) -> Design:
    """The same design, its sums those of few bits that adders among the gates make; gates in an order for code.

    Outputs that are bits are sums of one bit for the while: then adders and all else are ordered together.
    """
    netlist = schedule(narrowed(design.netlist))
    if design.sums is None:
        return replace(design, netlist=netlist)
    shown = [out.start + i for out in design.outputs if out.kind == "bits" for i in range(out.size)]
    planes = carry_save(netlist, _and_bits(design.sums, shown))
    real = planes.group < design.sums.groups
    literals = planes.offset[design.sums.groups :].copy()
    literals[planes.group[~real] - design.sums.groups] = planes.netlist.outputs[~real]
    count = int(real.sum())
    sums = GroupSum(
        bits=count + len(shown), group=planes.group[real], member=np.arange(count, dtype=np.int32),
        weight=np.int32(1) << planes.shift[real], offset=planes.offset[: design.sums.groups],
    )  # fmt: skip
    outputs = np.concatenate([planes.netlist.outputs[real], literals]).astype(np.int32)
    made = replace(planes.netlist, outputs=outputs)
    return replace(design, netlist=made, sums=sums, outputs=_moved(design.outputs, count))


def _and_bits(sums: GroupSum, shown: list[int]) -> GroupSum:
    """The sums, and behind them one for each of the bits."""
    more = np.arange(sums.groups, sums.groups + len(shown), dtype=np.int32)
    return GroupSum(
        bits=sums.bits,
        group=np.concatenate([sums.group, more]),
        member=np.concatenate([sums.member, np.array(shown, np.int32)]),
        weight=np.concatenate([sums.weight, np.ones(len(shown), np.int32)]),
        offset=np.concatenate([sums.offset, np.zeros(len(shown), np.int32)]),
    )


def _moved(outputs: tuple[Output, ...], start: int) -> tuple[Output, ...]:
    """The outputs, those of bits one behind the other from ``start`` on."""
    moved = []
    for out in outputs:
        moved.append(replace(out, start=start) if out.kind == "bits" else out)
        start += out.size if out.kind == "bits" else 0
    return tuple(moved)
