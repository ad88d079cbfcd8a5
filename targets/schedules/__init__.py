"""CPU kernels: integer reductions and what follows them, as TIR with the registers' own instructions."""

from __future__ import annotations

from collections.abc import Callable

from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._group import Group, partition
from edgegate.targets.schedules._kernel import Kernel, Unsupported

__all__ = ["Cpu", "Group", "Kernel", "kernel", "partition"]


def kernel(group: Group, cpu: Cpu) -> Kernel | None:
    """The group as one function for ``cpu``, or None where no schedule of ours fits."""
    from edgegate.targets.schedules._contraction import contraction

    schedules: dict[str, Callable[[Group, Cpu], Kernel]] = {
        "Conv2d": contraction, "Conv1d": contraction, "MatMul": contraction,
    }  # fmt: skip
    try:
        name = group.anchors[0].op_type if group.anchors else ""
        return schedules[name](group, cpu) if name in schedules else None
    except Unsupported:
        return None
