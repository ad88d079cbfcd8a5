"""A Scan becomes one TIR function: a loop over time around the kernels of its step, which are inlined.

The states of a loop, and all that a step computes, lie in memory that is taken once. Elements of a sequence are read
and written where they lie if every one of them starts at a multiple of :data:`ALIGNED` bytes, as kernels expect of
what they are given; else they are copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import s_tir, tirx

from edgegate.graph import Array, array, attribute, shape
from edgegate.targets._call import Call, dtype
from edgegate.targets._calls import calls
from edgegate.targets.schedules import Cpu

ALIGNED = 64
"""Where TVM's memory starts: at multiples of so many bytes."""
Expr = Any


def loop(scan: ir.Node, cpu: Cpu) -> Call:
    """The call that computes a Scan.

    Args:
        scan: Of a body that reads constants, and values from before the loop, by name.
        cpu: What the kernels may use.
    """
    return _Writer(scan, cpu).call()


@dataclass(kw_only=True)
class _Memory:
    """Buffers by what they hold.

    Attributes:
        pointers: Value -> where it begins, in this step.
        arguments: What the function is called on, with the buffer of each.
        statements: Declarations that stand before the loop.
    """

    pointers: dict[ir.Value, Expr] = field(default_factory=dict)
    arguments: list[tuple[ir.Value | Array, Any]] = field(default_factory=list)
    statements: list[Any] = field(default_factory=list)

    def argument(self, given: ir.Value | Array) -> Expr:
        """Where something from outside of the loop begins; equal arrays are one argument."""
        for known, buffer in self.arguments:
            if known is given or (_is_array(known) and _is_array(given) and _equal(known, given)):
                return buffer.data
        buffer = _buffer(*_described(given), f"a{len(self.arguments)}")
        self.arguments.append((given, buffer))
        return buffer.data

    def room(self, value: ir.Value) -> Expr:
        """Memory for a value of the step."""
        buffer = _buffer((math.prod(shape(value)),), dtype(value), f"m{len(self.statements)}")
        self.statements.append(tirx.AllocBuffer(buffer))
        return buffer.data


class _Writer:
    """Writes the function of one Scan."""

    def __init__(self, scan: ir.Node, cpu: Cpu) -> None:
        self.scan, self.body, self.memory = scan, attribute(scan, "body"), _Memory()
        self.time = tirx.Var("t", "int32")
        self.sequences = int(attribute(scan, "num_scan_inputs"))
        self.states = len(scan.inputs) - self.sequences
        self.calls = list(calls(self.body, cpu))
        given = [v if (data := array(v)) is None else data for v in scan.inputs if v is not None]
        self.inputs = [self.memory.argument(g) for g in given]
        self.outputs = [_buffer(shape(v), dtype(v), f"y{i}") for i, v in enumerate(scan.outputs)]

    def call(self) -> Call:
        """The finished function and its arguments."""
        before, step = self._states_begin(), [*self._elements_in(), *self._kernels(), *self._elements_out()]
        step += self._states_on()
        count = self._steps()
        loop = tirx.For(self.time, 0, count, tirx.ForKind.SERIAL, tirx.SeqStmt(step))
        whole = tirx.SeqStmt([*self.memory.statements, *before, loop, *self._states_end()])
        root = s_tir.SBlockRealize([], True, s_tir.SBlock([], [], [], "root", whole))
        parameters = [buffer for _, buffer in self.memory.arguments]
        # No noalias: the kernels see parts of what the function is given under names of their own.
        func = tirx.PrimFunc([*parameters, *self.outputs], root).with_attr("s_tir", True)
        return Call(func=func, arguments=tuple(a for a, _ in self.memory.arguments), outputs=tuple(self.scan.outputs))

    def _steps(self) -> int:
        sequences = [*self.scan.inputs[self.states :], *self.scan.outputs[self.states :]]
        return next(shape(v)[0] for v in sequences if v is not None)

    def _states_begin(self) -> list[Any]:
        found = []
        for value, source in zip(self.body.inputs[: self.states], self.inputs, strict=False):
            self.memory.pointers[value] = self.memory.room(value)
            found += _copy(self.memory.pointers[value], source, value)
        return found

    def _elements_in(self) -> list[Any]:
        """The elements of this step: where they lie, or copies."""
        found = []
        turned = attribute(self.scan, "scan_input_directions", []) or [0] * self.sequences
        elements = zip(self.body.inputs[self.states :], self.inputs[self.states :], turned, strict=True)
        for value, source, reverse in elements:
            place = self._element(value, source, reverse)
            if _is_aligned(value):
                self.memory.pointers[value] = place
            else:
                self.memory.pointers[value] = self.memory.room(value)
                found += _copy(self.memory.pointers[value], place, value)
        return found

    def _element(self, value: ir.Value, sequence: Expr, reverse: int) -> Expr:
        """Where this step's element of a sequence begins."""
        size, count = math.prod(shape(value)), self._steps()
        index = (count - 1 - self.time) if reverse else self.time
        flat = tirx.decl_buffer((count * size,), dtype(value), name="sequence")
        self.memory.statements.append(tirx.DeclBuffer(flat, data=sequence))
        return tirx.address_of(tirx.BufferLoad(flat, [index * size]))

    def _places_out(self) -> list[tuple[ir.Value, Expr]]:
        """Each element that a step makes, and where it goes."""
        made = list(zip(self.body.outputs, self.outputs, strict=True))[self.states :]
        turned = attribute(self.scan, "scan_output_directions", []) or [0] * len(made)
        return [(v, self._element(v, y.data, r)) for (v, y), r in zip(made, turned, strict=True)]

    def _kernels(self) -> Iterator[Any]:
        """Every kernel of the step, each parameter declared to lie where its value does."""
        self.places = self._places_out()
        direct = {v: place for v, place in self.places if _is_aligned(v)}
        for call in self.calls:
            for value in call.outputs:
                self.memory.pointers[value] = direct[value] if value in direct else self.memory.room(value)
            ends = [*map(self._pointer, call.arguments), *(self.memory.pointers[v] for v in call.outputs)]
            yield from (tirx.DeclBuffer(p, data=e) for p, e in zip(call.func.params, ends, strict=True))
            yield call.func.body

    def _pointer(self, argument: ir.Value | Array) -> Expr:
        if not isinstance(argument, np.ndarray) and argument in self.memory.pointers:
            return self.memory.pointers[argument]
        return self.memory.argument(argument)

    def _elements_out(self) -> list[Any]:
        moved = [(v, place) for v, place in self.places if not _is_aligned(v)]
        return [s for value, place in moved for s in _copy(place, self.memory.pointers[value], value)]

    def _states_on(self) -> list[Any]:
        pairs = zip(self.body.inputs, self.body.outputs[: self.states], strict=False)
        return [s for a, b in pairs for s in _copy(self.memory.pointers[a], self.memory.pointers[b], a)]

    def _states_end(self) -> list[Any]:
        pairs = zip(self.body.inputs, self.outputs[: self.states], strict=False)
        return [s for value, y in pairs for s in _copy(y.data, self.memory.pointers[value], value)]


def _is_array(given: ir.Value | Array) -> bool:
    return isinstance(given, np.ndarray)


def _equal(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and np.array_equal(a, b))


def _described(given: ir.Value | Array) -> tuple[Sequence[int], str]:
    if isinstance(given, np.ndarray):
        return given.shape, given.dtype.name
    return shape(given), dtype(given)


def _buffer(dims: Sequence[int], kind: str, name: str) -> Any:
    return tirx.decl_buffer(tuple(dims), kind, name=name)


def _is_aligned(element: ir.Value) -> bool:
    """Whether every element of a sequence of these starts where kernels expect it."""
    return math.prod(shape(element)) * np.dtype(dtype(element)).itemsize % ALIGNED == 0


def _copy(target: Expr, source: Expr, like: ir.Value) -> list[Any]:
    """Copy a whole value."""
    size = math.prod(shape(like))
    a, b = (_buffer((size,), dtype(like), name) for name in ("target", "source"))
    i = tirx.Var("i", "int32")
    move = tirx.BufferStore(a, tirx.BufferLoad(b, [i]), [i])
    return [
        tirx.DeclBuffer(a, data=target), tirx.DeclBuffer(b, data=source),
        tirx.For(i, 0, size, tirx.ForKind.SERIAL, move),
    ]  # fmt: skip
