"""Finding scalar functions: parts of the graph that compute each element from one element.

A value's *base* is the value that all of it is computed from, elementwise: ``x`` for ``x * sigmoid(x)``.
Values with a base may be read inside such a part only, or *end* one: something else reads them, too.
Between an end and its *root*, a value that stays and dominates it, lies a chain.

The root is not just the nearest such value: ``sqrt(1 - a**2)`` of ``a = exp(x)`` is computed from x, even
if ``a`` stays, because near 1 a rounded ``a`` no longer knows ``1 - a``. Two values are good enough to
start from: one that was clipped (its numbers are those before), and one that is only scaled and shifted.

Source: dominators as in Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001; the graph
has no cycles, so one sweep in topological order finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir import Node, Value

from edgegate.graph import array, shape
from edgegate.quant.scalar_ops import SCALAR_OPS

_CLIPS = ("Relu", "Clip")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One scalar function in the graph.

    Attributes:
        root: Its argument, float32.
        nodes: What computes it, in topological order; the last one makes the result, which stays.
    """

    root: Value
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("a chain has at least one node")

    @property
    def end(self) -> Value:
        """The result: float32, the shape of the root."""
        return self.nodes[-1].outputs[0]


def chains(model: ir.Model) -> list[Chain]:
    """Every chain of the main graph, in order; as long as possible, none inside another."""
    made, ends = _elementwise(model)
    doms: dict[Value, tuple[Value, ...]] = {}
    found = []
    for value, node in made.items():
        above = _common([doms.get(v, (v,)) for v in activations(node)])
        doms[value] = (value, *above) if value in ends else above
        if value in ends:
            found.append(next(c for v in above if (c := _chain(v, node, made)) is not None))
    return found


def activations(node: Node) -> list[Value]:
    """The inputs of ``node`` that are computed at run time."""
    return [v for v in node.inputs if v is not None and array(v) is None]


def _elementwise(model: ir.Model) -> tuple[dict[Value, Node], set[Value]]:
    """Values with a base and what makes them, in order; and those of them that end a chain."""
    blocked: set[Value] = set()
    while True:
        made, base = dict[Value, Node](), dict[Value, Value]()
        for node in model.graph:
            if is_scalar(node) and node.outputs[0] not in blocked:
                bases = {base.get(v, v) for v in activations(node)}
                if len(bases) == 1 and (one := bases.pop()).dtype == ir.DataType.FLOAT:
                    made[node.outputs[0]], base[node.outputs[0]] = node, one
        ends = {v for v in made if _escapes(v, made)}
        truths = {v for v in ends if v.dtype != ir.DataType.FLOAT}
        if not truths:
            return made, ends
        blocked |= truths  # a chain ends in numbers: what reads a truth value elsewhere keeps it as it is


def _escapes(value: Value, made: dict[Value, Node]) -> bool:
    return value.is_graph_output() or any(not user.outputs or user.outputs[0] not in made for user, _ in value.uses())


def is_scalar(node: Node) -> bool:
    """Whether each element of the output depends on the same element of the activations, and constants."""
    if node.domain or node.op_type not in SCALAR_OPS or len(node.outputs) != 1:
        return False
    output, inputs = node.outputs[0], activations(node)
    if output.dtype not in (ir.DataType.FLOAT, ir.DataType.BOOL) or not inputs:
        return False
    constants = [data for v in node.inputs if v is not None and (data := array(v)) is not None]
    one_number = all(data.size == 1 for data in constants)
    return one_number and all(shape(v) == shape(output) for v in inputs)


def _common(lists: Sequence[tuple[Value, ...]]) -> tuple[Value, ...]:
    """What is in all lists, in the order of the first."""
    first, *others = lists
    return tuple(v for v in first if all(v in other for other in others))


def _chain(root: Value, last: Node, made: dict[Value, Node]) -> Chain | None:
    """The chain from ``root`` to ``last``, or None if it should start further back."""
    nodes = _between(root, last, made)
    is_exact = root not in made or made[root].op_type in _CLIPS
    return Chain(root=root, nodes=nodes) if is_exact or all(map(_is_line, nodes)) else None


def _is_line(node: Node) -> bool:
    return node.op_type in ("Add", "Sub", "Mul", "Neg") and len(activations(node)) == 1


def _between(root: Value, last: Node, made: dict[Value, Node]) -> tuple[Node, ...]:
    """The nodes on the ways from ``root`` to ``last``, in topological order."""
    needed, waiting = {last.outputs[0]}, [last]
    while waiting:
        for value in activations(waiting.pop()):
            if value is not root and value not in needed:
                needed.add(value)
                waiting.append(made[value])
    return tuple(node for value, node in made.items() if value in needed)
