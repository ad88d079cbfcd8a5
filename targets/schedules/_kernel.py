"""A kernel under construction: its parameters, its blocks of registers, its loads and stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import s_tir, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, shape
from edgegate.targets.schedules._arm import Neon, NeonDot
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._registers import Expr, Registers, bind, shuffle
from edgegate.targets.schedules._x86 import Avx2, Vnni, VnniWords

_REGISTERS = {
    "vnni512": Vnni, "words512": VnniWords, "vnni256": Vnni, "avx2": Avx2, "neon_dot": NeonDot, "neon": Neon,
    "generic": Registers,
}  # fmt: skip


class Unsupported(Exception):
    """No schedule of ours computes this group; the generic lowering does."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One call of a TIR function.

    Attributes:
        func: The function; a parameter per argument, then the output buffer.
        arguments: Activations by value, constants as arrays packed the way the function reads them.
        output: What it computes.
    """

    func: Any
    arguments: tuple[ir.Value | Array, ...]
    output: ir.Value


@dataclass(frozen=True, kw_only=True)
class Run:
    """Lanes of a block that lie next to each other in memory.

    Attributes:
        offset: Element of the output (flat) that the first lane is.
        lanes: How many lanes.
        count: How many of them exist; the others are padding.
        image: Element of a [images, channels] side input that belongs to the first lane.
    """

    offset: Expr
    lanes: int
    count: int
    image: Expr = None


@dataclass(frozen=True, kw_only=True)
class Block:
    """Where the elements of a block stand.

    Attributes:
        runs: In natural order; their lanes add up to a block.
        slots: For each register, where its lanes start in arrays of constants per channel.
        packed: Order of the int32 registers.
    """

    runs: Sequence[Run]
    slots: Sequence[Expr]
    packed: bool


def powers(count: int) -> list[tuple[int, int]]:
    """``count`` as (start, size) pieces whose sizes are falling powers of two.

    >>> powers(11)
    [(0, 8), (8, 2), (10, 1)]
    """
    pieces, start = [], 0
    while start < count:
        size = 1 << ((count - start).bit_length() - 1)
        pieces.append((start, size))
        start += size
    return pieces


def load(buffer: Expr, offset: Expr, count: int, lanes: int, dtype: str) -> Expr:
    """A vector of ``lanes`` elements of which ``count`` are read, none beyond them."""
    if count == 0:
        return tirx.Broadcast(tirx.const(0, dtype), lanes)
    if count == lanes:
        return bind(buffer.vload([offset], dtype=f"{dtype}x{lanes}"))
    parts = [buffer.vload([offset + at], dtype=f"{dtype}x{n}" if n > 1 else dtype) for at, n in powers(count)]
    padding = tirx.Broadcast(tirx.const(0, dtype), lanes)
    return shuffle([*map(bind, parts), padding], range(lanes))


def store(buffer: Expr, offset: Expr, count: int, vector: Expr, first: int = 0, lanes: int = 0) -> None:
    """Write ``count`` lanes of ``vector`` from lane ``first`` on, and nothing beyond them."""
    for at, n in powers(count):
        whole = (first, n) == (0, lanes)
        part = vector if whole else shuffle([vector], range(first + at, first + at + n))
        T.buffer_store(buffer, part, [T.ramp(offset + at, 1, n) if n > 1 else offset + at])


class Builder:
    """Collects the parameters of a kernel while its body is being emitted."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        self.group = group
        self.registers = _REGISTERS[cpu.dot](cpu)
        self._values: dict[int, tuple[ir.Value, Expr]] = {}
        self._constants: list[tuple[Array, Expr]] = []
        self._views: dict[int, Expr] = {}
        self._func: Any = None
        for node in group.nodes:
            for value in node.inputs:
                if value is not None and array(value) is None and not group.inside(value):
                    self._declare(value)
        self._declare(group.output)

    def _declare(self, value: ir.Value) -> None:
        dims = shape(value)
        if value.dtype is None or not dims:
            raise Unsupported(f"{value.name} is a scalar or has no dtype")
        name = value.dtype.numpy().name
        self._values.setdefault(id(value), (value, tirx.decl_buffer(dims, name, name=f"v{len(self._values)}")))

    @contextmanager
    def body(self) -> Iterator[None]:
        """Emit the function's body inside; every activation can be reached through :meth:`flat`."""
        with IRBuilder() as builder:
            with T.prim_func():
                T.func_name("main")
                for key, (value, buffer) in self._values.items():
                    size = int(np.prod(shape(value)))
                    self._views[key] = T.decl_buffer((size,), dtype(value), data=buffer.data)
                yield
            self._func = builder.get()

    def flat(self, value: ir.Value) -> Expr:
        """The buffer of an activation (or of the output) as one dimension."""
        if array(value) is not None:
            raise Unsupported(f"{value.name} is a constant where an activation was expected")
        return self._views[id(value)]

    def constant(self, data: Array) -> Expr:
        """A flat buffer with ``data``; equal arrays share one."""
        for known, buffer in self._constants:
            if known.dtype == data.dtype and np.array_equal(known, data):
                return buffer
        buffer = tirx.decl_buffer((data.size,), data.dtype.name, name=f"c{len(self._constants)}")
        self._constants.append((np.ascontiguousarray(data.reshape(-1)), buffer))
        return buffer

    def kernel(self) -> Kernel:
        """The finished kernel."""
        values = list(self._values.values())
        (output, last), inputs = values[-1], values[:-1]
        arguments: list[tuple[Any, Any]] = [*inputs, *self._constants]
        # A root block, because TVM looks for reshapes among the functions of one tensor and expects one there.
        root = s_tir.SBlockRealize([], True, s_tir.SBlock([], [], [], "root", self._func.body))
        func = tirx.PrimFunc([*(buffer for _, buffer in arguments), last], root)
        func = func.with_attr("tirx.noalias", True).with_attr("global_symbol", "main")
        return Kernel(func=func, arguments=tuple(a for a, _ in arguments), output=output)


def dtype(value: ir.Value) -> str:
    """TVM's name of the value's dtype."""
    if value.dtype is None:
        raise Unsupported(f"{value.name} has no dtype")
    return value.dtype.numpy().name
