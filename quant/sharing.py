"""Which values are stored alike: those that integers only pass through, and those about to be clipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

import onnx_ir as ir

from edgegate.graph import DOMAIN, array, attribute, only_user, states
from edgegate.quant.bits import BITS, bit_inputs, is_bit_maker, is_compared, is_count
from edgegate.quant.given import is_quantizer, storage_of
from edgegate.quant.storage import Storage
from edgegate.stages.loops import Loop, is_mark, loops

MOVES = frozenset({
    "Reshape", "Transpose", "Slice", "Split", "Gather", "MaxPool", "Pad", "Squeeze", "Unsqueeze", "Expand",
    "Flatten", "Identity", "ReduceMax", "ReduceMin", "Tile", "DepthToSpace", "SpaceToDepth",
    "TopK", "GatherElements", "GatherND",
})  # fmt: skip
"""Ops whose integer form copies or picks stored values: output and first input are stored alike."""
CLIPS = ("Relu", "Clip")
"""Ops that become the clip bounds of the op before them."""
JOINS = ("Concat", "Max", "Min", "Where", "ScatterElements")
"""Ops whose integer form wants all inputs stored like the output; a Rescale makes them so if they are not."""
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Where", "Concat", "Gather", "Expand", "GatherElements", "GatherND",
          "ScatterElements")  # fmt: skip
"""Ops of activations that may have a constant as an operand, which then is stored as an activation is."""
GATE, UNARY = "edgegate.gate", "edgegate.unary"
"""Domains of gates, and of scalar functions."""


def is_move(node: ir.Node) -> bool:
    """Whether the node's outputs are stored like its first input."""
    if (node.domain, node.op_type) == (DOMAIN, "StageGate"):
        return True
    if node.domain or not node.inputs or node.inputs[0] is None:
        return False
    nearest = node.op_type == "Resize" and attribute(node, "mode", "nearest") == "nearest"
    return node.op_type in MOVES or nearest


def is_float(value: ir.Value | None) -> TypeGuard[ir.Value]:
    """Whether a value is float and so must be stored somehow."""
    return value is not None and bool(value.name) and value.dtype == ir.DataType.FLOAT


def activations(model: ir.Model) -> Iterator[ir.Value]:
    """Every value that needs a storage: inputs, constant operands of binary ops, node outputs, constant outputs."""
    yield from (value for value in model.graph.inputs if is_float(value) and not is_compared(value))
    met = set()
    for node in model.graph:
        for value in constant_operands(node):
            if value.name not in met:
                met.add(value.name)
                yield value
        yield from (value for value in node.outputs if is_float(value) and not is_count(value))
    for value in filter(is_float, model.graph.outputs):
        if array(value) is not None and value.name not in met and not value.is_graph_input():
            met.add(value.name)
            yield value


def constant_operands(node: ir.Node) -> list[ir.Value]:
    """The node's inputs that are constants but play the part of an activation."""
    if node.domain == GATE or is_mark(node) or (node.domain == "" and node.op_type in BINARY):
        operands = list(node.inputs)
    else:
        operands = list(node.inputs[:2]) if (node.domain, node.op_type) == ("", "MatMul") else []
    return [v for v in operands if v is not None and is_float(v) and array(v) is not None]


class Groups:
    """Sets of values that share one storage; each has an owner, whose range counts.

    Values join by what they are: the output of a move is stored like its input, and a value whose only
    user clips it is stored like the clipped one (its low and high are the clip's). So is one whose only user is
    a quantizer of the model's own, unless another one has given it a storage before. A state is stored like what it is
    in the next step, whose range counts; that of a loop like what it is before a step.

    Attributes:
        given: Owner -> the storage that the model gives.
    """

    def __init__(self, model: ir.Model) -> None:
        self._owner = {str(v.name): str(v.name) for v in activations(model)}
        self.given: dict[str, Storage] = {}
        for node in model.graph:
            if is_move(node):
                self._follow(node)
            elif node.op_type in CLIPS and node.domain == "" and is_float(node.outputs[0]):
                self._clip(node)
            elif is_bit_maker(node):
                self.given[str(node.outputs[0].name)] = BITS
            elif is_quantizer(node):
                self.given[str(node.outputs[0].name)] = storage_of(node)
                self._quantize(node)
        for value in bit_inputs(model):
            self.given[self.owner(str(value.name))] = BITS
        self._carry(states(model))
        for loop in loops(model.graph):
            self._loop(loop)

    def _carry(self, pairs: Iterable[tuple[str, str]]) -> None:
        for before, after in pairs:
            if before in self and after in self:
                self.join(before, after)

    def _loop(self, loop: Loop) -> None:
        """Store what goes through a loop alike on both sides: like a state in a step, which it is at all times."""
        inside = [*loop.begin.outputs, *loop.end.inputs]
        outside = [*loop.begin.inputs, *loop.end.outputs]
        first = len(loop.begin.outputs)
        for index, (inner, outer) in enumerate(zip(inside, outside, strict=True)):
            if is_float(inner) and is_float(outer):
                sequence = loop.states <= index < first
                self.join(*(str(v.name) for v in ((inner, outer) if sequence else (outer, inner))))
        self._carry((str(after.name), str(before.name)) for before, after in loop.carried())

    def _follow(self, node: ir.Node) -> None:
        source = node.inputs[0]
        if source is not None and source.name in self._owner:
            for output in filter(is_float, node.outputs):
                self.join(str(output.name), str(source.name))

    def _clip(self, node: ir.Node) -> None:
        source = node.inputs[0]
        producer = None if source is None else source.producer()
        if source is None or producer is None or only_user(source) is not node:
            return
        if is_move(producer) or producer.domain == UNARY:  # the one cannot clip, the other has its own scale
            return
        self.join(str(source.name), str(node.outputs[0].name))

    def _quantize(self, node: ir.Node) -> None:
        source, reader = node.inputs[0], node
        while source is not None and only_user(source) is reader and source.name in self._owner:
            producer = source.producer()
            if producer is None or not is_move(producer) or len(producer.outputs) > 1:
                if self.owner(str(source.name)) not in self.given:
                    self.join(str(source.name), str(node.outputs[0].name))
                return
            source, reader = producer.inputs[0], producer

    def join(self, name: str, other: str) -> None:
        """Store ``name``, and all that is stored like it, like ``other``, or both as the model says of one."""
        first, second = self.owner(name), self.owner(other)
        if first != second and first in self.given:
            self.given[second] = self.given.pop(first)
        self._owner[first] = second

    def owner(self, name: str) -> str:
        """The value whose range decides how ``name`` is stored."""
        while self._owner[name] != name:
            name = self._owner[name]
        return name

    def owners(self) -> list[str]:
        """Every owner, in graph order."""
        return [name for name, owner in self._owner.items() if name == owner]

    def members(self) -> dict[str, list[str]]:
        """Owner -> all values stored like it."""
        result: dict[str, list[str]] = {name: [] for name in self.owners()}
        for name in self._owner:
            result[self.owner(name)].append(name)
        return result

    def __contains__(self, name: object) -> bool:
        return name in self._owner
