"""The TIR functions that nodes become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from edgegate.targets import schedules
from edgegate.targets._call import Call, portable
from edgegate.targets._edges import is_edge


def calls(nodes: Iterable[ir.Node], cpu: schedules.Cpu) -> Iterator[Call]:
    """The calls that compute ``nodes``, in order: one for each group that a schedule of ours fits, else for each node.

    Float edges are left out.

    Args:
        nodes: In topological order.
        cpu: What the kernels may use.
    """
    for group in schedules.partition(nodes):
        if is_edge(group.nodes[0]):
            continue
        kernel = schedules.kernel(group, cpu)
        if kernel is not None:
            yield Call(func=kernel.func, arguments=tuple(kernel.arguments), outputs=(kernel.output,))
        else:
            yield from (_call(node, cpu) for node in group.nodes)


def _call(node: ir.Node, cpu: schedules.Cpu) -> Call:
    if (node.domain, node.op_type) == ("", "Scan"):
        from edgegate.targets._loops import loop  # which calls this module for the kernels of a step

        return loop(node, cpu)
    return portable(node)
