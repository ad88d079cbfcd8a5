"""A launch of a kernel: what a network on a GPU is a list of."""

from __future__ import annotations

from collections.abc import Sequence
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
"""What a kernel's parameter points to: a stored value, constants, or memory between kernels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Launch:
    """One kernel, started once.

    Attributes:
        kernel: Its name in the text.
        grid: Blocks along x, y and z.
        threads: Of a block, along x.
        shared: Bytes of dynamic shared memory.
        arguments: What the parameters point to, in order.
        written: The positions of those that it writes; the others it only reads.
    """

    kernel: str
    grid: tuple[int, int, int]
    threads: int
    shared: int = 0
    arguments: tuple[Argument, ...]
    written: frozenset[int]

    def on(self, arguments: Sequence[Argument]) -> Launch:
        """The same with other arguments."""
        return replace(self, arguments=tuple(arguments))
