"""A launch of a kernel: what a network on a GPU is a list of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import onnx_ir as ir

from edgegate.graph import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Room:
    """Memory that a launch fills and others read, and that no value of the graph is.

    Attributes:
        size: Bytes.
    """

    size: int


Whole: TypeAlias = "ir.Value | Room"
"""Memory of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Something inside of something larger.

    Attributes:
        whole: The larger thing.
        offset: Where this begins, in bytes.
    """

    whole: Whole
    offset: int


Argument: TypeAlias = "Whole | Part | Array"
"""What a pointer of a kernel points to: a stored value, constants, or memory between kernels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Map:
    """A CUtensorMap: a row-major matrix that is read or written in boxes of rows, swizzled over their width.

    Attributes:
        place: Where the matrix begins, at a multiple of 16 bytes.
        rows: Of the matrix.
        columns: Of the matrix.
        box: Rows of a box.
        item: Bytes of an element, 1 or 4.
        width: Bytes of a row of a box: 32, 64 or 128.
    """

    place: Argument
    rows: int
    columns: int
    box: int
    item: int = 1
    width: int = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Struct:
    """A struct by value: pointers (None: null), and behind them int32."""

    pointers: tuple[Argument | None, ...]
    numbers: tuple[int, ...]


Parameter: TypeAlias = "Argument | Map | Struct | int"
"""What a kernel is called on; an int is an int32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Launch:
    """One kernel, started once.

    Attributes:
        module: The text that it is in.
        kernel: Its name there.
        grid: Blocks along x, y and z.
        threads: Of a block, along x.
        shared: Bytes of dynamic shared memory.
        resident: Whether its blocks take one tile after the other: then there are as many as run at once.
        arguments: In order.
        written: The positions of the pointers that it writes.
    """

    module: str
    kernel: str
    grid: tuple[int, int, int]
    threads: int
    shared: int = 0
    resident: bool = False
    arguments: tuple[Parameter, ...]
    written: frozenset[int]

    def on(self, arguments: Sequence[Parameter]) -> Launch:
        """The same with other arguments."""
        return replace(self, arguments=tuple(arguments))

    def places(self) -> Iterator[Argument]:
        """Everything that it reads or writes, constants too."""
        for argument in self.arguments:
            if isinstance(argument, Struct):
                yield from (p for p in argument.pointers if p is not None)
            elif isinstance(argument, Map):
                yield argument.place
            elif not isinstance(argument, int):
                yield argument


def replaced(parameter: Parameter, place: Callable[[Argument], Argument]) -> Parameter:
    """The same with every place in it put through ``place``."""
    if isinstance(parameter, int):
        return parameter
    if isinstance(parameter, Map):
        return replace(parameter, place=place(parameter.place))
    if isinstance(parameter, Struct):
        return replace(parameter, pointers=tuple(None if p is None else place(p) for p in parameter.pointers))
    return place(parameter)
