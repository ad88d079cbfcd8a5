"""Which nodes become one kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from edgegate.graph import DOMAIN, array, attribute, only_user, shape

ANCHORS = (
    "Conv2d",
    "DepthwiseConv2d",
    "Conv1d",
    "MatMul",
    "Sum",
    "SumPool2d",
    "MaxPool2d",
    "BlockMatMul",
    "MaskedMatMul",
    "MatMul16x8",
)
"""Ops that read many elements for one: a kernel is built around one of them, or two that read the same."""
ELEMENTWISE = ("Rescale", "Table", "GatedProduct", "Add")
"""Ops that follow an anchor in registers."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """What becomes one kernel.

    Attributes:
        nodes: In topological order.
        anchors: The reductions among them: none, one, or two with the same input and geometry (a gated pair).
        output: The one value that is written to memory.
    """

    nodes: tuple[ir.Node, ...]
    anchors: tuple[ir.Node, ...]
    output: ir.Value

    def __post_init__(self) -> None:
        if not self.nodes or len(self.anchors) > 2:
            raise ValueError(f"a group has nodes and at most two anchors, not {len(self.anchors)}")

    def inside(self, value: ir.Value) -> bool:
        """Whether a node of the group makes ``value``."""
        return any(value is out for node in self.nodes for out in node.outputs)


def activations(node: ir.Node) -> list[ir.Value]:
    """The inputs of ``node`` that are computed at run time (or given to the graph)."""
    return [v for v in node.inputs if v is not None and array(v) is None]


def partition(graph: ir.Model | Iterable[ir.Node]) -> list[Group]:
    """Every node in exactly one group, groups in a valid order.

    A reduction takes the elementwise ops behind it while each value in between has no other reader and every
    side input was computed before; the two branches of a gated product join where their reductions agree. What is
    left over is elementwise chains and single nodes.
    """
    nodes = list(graph.graph if isinstance(graph, ir.Model) else graph)
    order = {id(n): i for i, n in enumerate(nodes)}
    taken: set[int] = set()
    groups = []
    for node in nodes:
        if id(node) in taken:
            continue
        group = _grow(node, order, taken)
        taken.update(id(n) for n in group.nodes)
        groups.append(group)
    return sorted(groups, key=lambda g: order[id(g.nodes[-1])])


def _grow(node: ir.Node, order: dict[int, int], taken: set[int]) -> Group:
    """The group that starts at ``node``; ``taken`` nodes belong to others."""
    if (counter := _counter(node, taken)) is not None:
        return Group(nodes=(node, counter), anchors=(), output=counter.outputs[0])
    anchors = [node] if _is_anchor(node) else []
    nodes = [node]
    while anchors or _is_elementwise(node):
        follower = only_user(nodes[-1].outputs[0])
        if follower is None or not _is_elementwise(follower) or id(follower) in taken or id(follower) not in order:
            break
        sides = [v for v in activations(follower) if v is not nodes[-1].outputs[0]]
        twin = _twin(node, nodes, sides) if len(anchors) == 1 else None
        if twin is not None and not any(id(n) in taken for n in twin):
            nodes = [*twin, *nodes] if order[id(twin[-1])] < order[id(nodes[0])] else [*nodes, *twin]
            anchors.append(twin[0])
            nodes = sorted(nodes, key=lambda n: order[id(n)])
        elif not all(_ready(v, nodes[0], order) and _streams(v, follower) for v in sides):
            break
        nodes.append(follower)
        if shape(follower.outputs[0]) != shape(nodes[0].outputs[0]):
            nodes.pop()
            break
    anchors.sort(key=lambda n: order[id(n)])
    return Group(nodes=tuple(nodes), anchors=tuple(anchors), output=nodes[-1].outputs[0])


def _counter(node: ir.Node, taken: set[int]) -> ir.Node | None:
    """The GroupSum that alone reads a network of gates; their bits are then never written to memory."""
    follower = only_user(node.outputs[0]) if (node.domain, node.op_type) == (DOMAIN, "Logic") else None
    found = follower is not None and (follower.domain, follower.op_type) == (DOMAIN, "GroupSum")
    return follower if found and id(follower) not in taken else None


def _is_anchor(node: ir.Node) -> bool:
    return node.domain == DOMAIN and node.op_type in ANCHORS


def _is_elementwise(node: ir.Node) -> bool:
    return node.domain == DOMAIN and node.op_type in ELEMENTWISE


def _ready(value: ir.Value, first: ir.Node, order: dict[int, int]) -> bool:
    """Whether ``value`` exists before the group's first node runs, so that the group may wait for it."""
    producer = value.producer()
    return producer is None or order[id(producer)] < order[id(first)]


def _streams(value: ir.Value, follower: ir.Node) -> bool:
    """Whether a side input is read once per element of the result, or once per image and channel."""
    dims, result = shape(value), shape(follower.outputs[0])
    return dims == result or dims == (result[0], *[1] * (len(result) - 2), result[-1])


def _twin(anchor: ir.Node, chain: list[ir.Node], sides: list[ir.Value]) -> list[ir.Node] | None:
    """The chain behind a second anchor of the same input and geometry that ends in the one side input."""
    if len(sides) != 1 or only_user(sides[0]) is None:
        return None
    nodes: list[ir.Node] = []
    value: ir.Value | None = sides[0]
    while value is not None and (producer := value.producer()) is not None and producer not in chain:
        nodes.insert(0, producer)
        if _is_anchor(producer):
            return nodes if _alike(anchor, producer) else None
        inputs = activations(producer)
        value = inputs[0] if _is_elementwise(producer) and len(inputs) == 1 and only_user(inputs[0]) else None
    return None


def _alike(a: ir.Node, b: ir.Node) -> bool:
    """Whether two reductions read the same elements in the same order and differ in their weights alone."""
    same_type = a.op_type == b.op_type and a.op_type in ("Conv2d", "Conv1d", "MatMul")
    if not same_type or a.inputs[0] is not b.inputs[0] or a is b or array(b.inputs[1]) is None:
        return False
    names = (
        "pads",
        "strides",
        "dilations",
        "stride",
        "dilation",
        "group",
        "input_zero_point",
        "a_zero_point",
    )
    return shape(a.inputs[1]) == shape(b.inputs[1]) and all(attribute(a, n) == attribute(b, n) for n in names)  # type: ignore[arg-type]
