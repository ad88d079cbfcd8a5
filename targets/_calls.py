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
        kernel, rest = _kernel(group, cpu)
        if kernel is not None:
            yield Call(func=kernel.func, arguments=tuple(kernel.arguments), outputs=(kernel.output,))
        yield from (_call(node, cpu) for node in rest)


def _kernel(group: schedules.Group, cpu: schedules.Cpu) -> tuple[schedules.Kernel | None, tuple[ir.Node, ...]]:
    """The kernel of the group, or of a reduction and as much behind it as a schedule fits, and the nodes left over."""
    shortest = 1 if len(group.anchors) == 1 else len(group.nodes)
    for end in range(len(group.nodes), shortest - 1, -1):
        nodes = group.nodes[:end]
        part = schedules.Group(nodes=nodes, anchors=group.anchors, output=nodes[-1].outputs[0])
        if group.anchors and group.anchors[0] not in nodes:
            break
        if (kernel := schedules.kernel(group if end == len(group.nodes) else part, cpu)) is not None:
            return kernel, group.nodes[end:]
    return None, group.nodes


def _call(node: ir.Node, cpu: schedules.Cpu) -> Call:
    if (node.domain, node.op_type) == ("", "Scan"):
        from edgegate.targets._loops import loop  # which calls this module for the kernels of a step

        return loop(node, cpu)
    return portable(node)
