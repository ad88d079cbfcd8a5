"""From an integer graph to launches: each node's kernels in order, loops step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from tvm import te

from edgegate.graph import array, attribute, shape
from edgegate.targets._call import Call, dtype, each_output
from edgegate.targets._edges import inputs_of, is_edge, outputs_of
from edgegate.targets.cuda_network.convolutions import convolution_at
from edgegate.targets.cuda_network.launch import Argument, Launch, Part, Room, Whole, replaced
from edgegate.targets.cuda_network.portable import MODULE, Functions, Signature, launches, scheduled
from edgegate.targets.cuda_network.products import product_at

SAME = frozenset({("", "Reshape"), ("", "Identity")})
"""Ops whose result is their input, where it lies."""
Places: TypeAlias = dict[ir.Value, Argument]


@dataclass(frozen=True, kw_only=True)
class Network:
    """Everything that a device is to do.

    Attributes:
        texts: The kernels, CUDA C++, by the name of their module.
        launches: In order.
        inputs: Where the stored inputs lie.
        outputs: Where the stored outputs lie.
    """

    texts: dict[str, str]
    launches: list[Launch]
    inputs: list[Whole]
    outputs: list[Argument]

    def sizes(self) -> dict[Whole, int]:
        """Bytes of everything that has memory of its own."""
        ends: list[Argument] = [*self.inputs, *self.outputs, *(a for n in self.launches for a in n.places())]
        wholes = {a.whole if isinstance(a, Part) else a for a in ends if not isinstance(a, np.ndarray)}
        return {whole: size_of(whole) for whole in wholes}


def size_of(whole: Whole) -> int:
    """Bytes."""
    if isinstance(whole, Room):
        return whole.size
    return math.prod(shape(whole)) * np.dtype(dtype(whole)).itemsize


def network_of(model: ir.Model, capability: int | None) -> Network:
    """The network of an integer model.

    Args:
        model: The integer graph.
        capability: Of the GPU: 10 times the major version plus the minor. None: kernels of single threads alone.
    """
    reader = _Reader(capability=capability)
    steps = reader.steps(model.graph)
    text, signatures = reader.functions.compiled()
    writer = _Writer(reader.functions, signatures)
    places: Places = {}
    found = list(writer.launches(steps, places))
    outputs = [_place(v, places) for v in outputs_of(model)]
    texts = {**({MODULE: text} if text else {}), **reader.texts}
    return Network(texts=texts, launches=found, inputs=list(inputs_of(model)), outputs=outputs)


@dataclass(frozen=True, kw_only=True)
class _Function:
    """A call of a function by its name."""

    call: Call
    name: str


@dataclass(frozen=True, kw_only=True)
class _Same:
    """A value that is another one."""

    made: ir.Value
    source: ir.Value


@dataclass(frozen=True, kw_only=True)
class _Loop:
    """A Scan, what its step does, and the name of the function that copies each output of the step."""

    scan: ir.Node
    steps: list[_Step]
    copies: list[str]


_Step: TypeAlias = "_Function | _Same | _Loop | Launch"


@dataclass(kw_only=True)
class _Reader:
    """Collects the functions of a graph.

    Attributes:
        capability: Of the GPU; None: kernels of single threads alone.
        functions: Those that TVM writes.
        texts: Modules of other kernels.
    """

    capability: int | None
    functions: Functions = field(default_factory=Functions)
    texts: dict[str, str] = field(default_factory=dict)

    def steps(self, nodes: Iterable[ir.Node], *, inside: bool = False) -> list[_Step]:
        """What the nodes do, in order; elements of sequences, ``inside`` of loops, may begin anywhere."""
        found: list[_Step] = []
        done: set[ir.Node] = set()
        for node in nodes:
            if is_edge(node) or node in done:
                continue
            fused = None if inside else self._fused(node)
            if fused is None:
                found += self._steps(node)
            else:
                found.append(fused[0])
                done.update(fused[1])
        return found

    def _fused(self, node: ir.Node) -> tuple[Launch, tuple[ir.Node, ...]] | None:
        """The kernel on tensor cores that begins at a node, and the nodes that it stands for."""
        if self.capability is None:
            return None
        for found in (product_at(node), convolution_at(node)):
            launch = None if found is None else found.launch(self.capability, self.texts)
            if found is not None and launch is not None:
                return launch, found.nodes
        return None

    def _steps(self, node: ir.Node) -> Iterator[_Step]:
        source = node.inputs[0] if node.inputs else None
        if (node.domain, node.op_type) in SAME and source is not None:
            yield _Same(made=node.outputs[0], source=source)
        elif node.op_type == "Scan":
            body = attribute(node, "body")
            copies = [self._name(_copied(value)) for value in body.outputs]
            yield _Loop(scan=node, steps=self.steps(body, inside=True), copies=copies)
        else:
            yield from (_Function(call=call, name=self._name(call.func)) for call in each_output(node))

    def _name(self, function: Any) -> str:
        return self.functions.name(scheduled(function))


def _copied(value: ir.Value) -> Any:
    """A function that copies it."""
    x = te.placeholder((max(math.prod(shape(value)), 1),), dtype(value), name="x")
    return te.create_prim_func([x, te.compute(x.shape, lambda i: x[i], name="copy")])


@dataclass
class _Writer:
    """Writes launches once the kernels of the functions are known."""

    functions: Functions
    signatures: dict[str, list[Signature]]

    def launches(self, steps: Iterable[_Step], places: Places) -> Iterator[Launch]:
        """Of the steps in order; ``places`` says where values lie that have no memory of their own."""
        for step in steps:
            if isinstance(step, Launch):
                yield step.on([replaced(a, lambda p: _moved(p, places)) for a in step.arguments])
            elif isinstance(step, _Same):
                places[step.made] = _place(step.source, places)
            elif isinstance(step, _Function):
                yield from self._started(step.call, step.name, places)
            else:
                yield from self._looped(step, places)

    def _started(self, call: Call, name: str, places: Places) -> Iterator[Launch]:
        for launch in launches(call, self.functions.by_name[name], self.signatures[name]):
            yield launch.on([replaced(a, lambda p: _moved(p, places)) for a in launch.arguments])

    def _looped(self, loop: _Loop, places: Places) -> Iterator[Launch]:
        """Every step of a loop. States lie in two rooms in turn, so that one is read while the other is written."""
        scan, body = loop.scan, attribute(loop.scan, "body")
        count = len(scan.inputs) - int(attribute(scan, "num_scan_inputs"))
        given = [_place(v, places) for v in scan.inputs if v is not None]
        rooms = [[Room(size=size_of(v)) for _ in range(2)] for v in body.outputs[:count]]
        states, time = given[:count], _length(scan, count)
        for now in range(time):
            inner = {**places, **dict(zip(body.inputs, states, strict=False))}
            for i, (value, whole) in enumerate(zip(body.inputs[count:], given[count:], strict=True)):
                inner[value] = _element(whole, value, _turned(scan, "scan_input_directions", i, now, time))
            states = [room[now % 2] for room in rooms]
            ends: list[Argument] = [*states]
            for i, (value, whole) in enumerate(zip(body.outputs[count:], scan.outputs[count:], strict=True)):
                ends.append(_element(whole, value, _turned(scan, "scan_output_directions", i, now, time)))
            yield from self._step(loop, inner, ends)
        places.update(zip(scan.outputs, states, strict=False))

    def _step(self, loop: _Loop, inner: Places, ends: list[Argument]) -> Iterator[Launch]:
        """One step, whose outputs go to ``ends``: where they are made, or by a copy if they are needed elsewhere."""
        outputs = attribute(loop.scan, "body").outputs
        made = {v for step in loop.steps if isinstance(step, _Function) for v in step.call.outputs}
        direct = [value in made and value not in outputs[:i] for i, value in enumerate(outputs)]
        inner.update((v, end) for v, end, here in zip(outputs, ends, direct, strict=True) if here)
        yield from self.launches(loop.steps, inner)
        for value, end, here, name in zip(outputs, ends, direct, loop.copies, strict=True):
            if not here:
                call = Call(func=self.functions.by_name[name], arguments=(value,), outputs=(value,))
                for launch in launches(call, call.func, self.signatures[name]):
                    pair = [end if i in launch.written else _place(value, inner) for i in range(2)]
                    yield launch.on(pair)


def _place(value: ir.Value, places: Places) -> Argument:
    """Where a value lies: elsewhere, among the constants, or in memory of its own."""
    data = array(value)
    return places.get(value, value if data is None else data)


def _moved(argument: Argument, places: Places) -> Argument:
    """Where an argument lies."""
    return _place(argument, places) if isinstance(argument, ir.Value) else argument


def _length(scan: ir.Node, states: int) -> int:
    """Steps of a loop."""
    return next(shape(v)[0] for v in [*scan.inputs[states:], *scan.outputs[states:]] if v is not None)


def _turned(scan: ir.Node, name: str, place: int, now: int, time: int) -> int:
    """The element of a sequence that a step has."""
    directions = attribute(scan, name, [])
    return time - 1 - now if directions and directions[place] else now


def _element(whole: Argument, element: ir.Value, index: int) -> Argument:
    """One element of a sequence."""
    if isinstance(whole, np.ndarray):
        return np.ascontiguousarray(whole[index])
    offset = index * size_of(element)
    return (
        Part(whole=whole.whole, offset=whole.offset + offset)
        if isinstance(whole, Part)
        else Part(whole=whole, offset=offset)
    )
