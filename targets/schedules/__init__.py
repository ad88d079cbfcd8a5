"""CPU kernels: integer reductions and what follows them, as TIR with the registers' own instructions."""

from __future__ import annotations

from collections.abc import Callable

from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._group import Group, partition
from edgegate.targets.schedules._kernel import Kernel, Unsupported

__all__ = ["Cpu", "Group", "Kernel", "kernel", "partition"]


def kernel(group: Group, cpu: Cpu) -> Kernel | None:
    """The group as one function for ``cpu``, or None where no schedule of ours fits."""
    from edgegate.targets.schedules._blocked import blocked
    from edgegate.targets.schedules._channelwise import channelwise
    from edgegate.targets.schedules._contraction import contraction
    from edgegate.targets.schedules._elementwise import elementwise
    from edgegate.targets.schedules._logic_table import logic_table
    from edgegate.targets.schedules._masked import masked
    from edgegate.targets.schedules._total import total
    from edgegate.targets.schedules._wide import wide
    from edgegate.targets.schedules.logic import logic_code

    schedules: dict[str, Callable[[Group, Cpu], Kernel]] = {
        "Conv2d": contraction, "Conv1d": contraction, "MatMul": contraction, "DepthwiseConv2d": channelwise,
        "SumPool2d": channelwise, "MaxPool2d": channelwise, "Sum": total,
        "BlockMatMul": blocked, "MaskedMatMul": masked, "MatMul16x8": wide,
    }  # fmt: skip
    try:
        if group.nodes[0].op_type in ("Logic", "GroupSum"):
            return (logic_table if cpu.logic == "table" or cpu.gates is None else logic_code)(group, cpu)
        return (schedules[group.anchors[0].op_type] if group.anchors else elementwise)(group, cpu)
    except Unsupported:
        return None
