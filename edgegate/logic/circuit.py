"""A netlist with names and latches: what AIGER and BLIF files hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgegate.errors import FileError
from edgegate.logic.netlist import Netlist

LITERALS = 1 << 31
"""One more than the largest literal that fits int32."""
NAME = 4096
"""Longest name, in characters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Circuit:
    """A sequential circuit: its netlist computes the outputs and the next states from the inputs and the states.

    Attributes:
        netlist: Its inputs are the primary inputs, then the states of the latches; its outputs are the primary
            outputs, then the next states of the latches.
        inputs: Names of the primary inputs, different from each other and from the latches'.
        outputs: Names of the primary outputs, all different.
        latches: Names of the latches' states.
        resets: 0 or 1: the state that each latch starts in.

    Raises:
        ValueError: Names or resets do not fit the netlist, two are the same, or one could not be written to a file.
    """

    netlist: Netlist
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    latches: tuple[str, ...] = ()
    resets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        ins, outs = len(self.inputs) + len(self.latches), len(self.outputs) + len(self.latches)
        if (ins, outs) != (self.netlist.inputs, len(self.netlist.outputs)):
            shape = f"{self.netlist.inputs} inputs and {len(self.netlist.outputs)} outputs"
            raise ValueError(f"the netlist has {shape}, the names are for {ins} and {outs}")
        if len(self.resets) != len(self.latches) or not {*self.resets} <= {0, 1}:
            raise ValueError("every latch has a reset value of 0 or 1")
        for names in (self.inputs + self.latches, self.outputs):
            if double := repeated(names):
                raise ValueError(f"two signals are named {double!r}")
            if bad := next((name for name in names if not writable(name)), None):
                raise ValueError(f"{bad[:80]!r} is no name: printable ASCII without spaces, # and backslashes")

    @classmethod
    def of(cls, netlist: Netlist) -> Circuit:
        """A circuit without latches; inputs are named i0, i1, ..., outputs o0, o1, ..."""
        ins = tuple(f"i{i}" for i in range(netlist.inputs))
        return cls(netlist=netlist, inputs=ins, outputs=tuple(f"o{i}" for i in range(len(netlist.outputs))))


def repeated(names: Sequence[str]) -> str | None:
    """The first name that is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def writable(name: str) -> bool:
    """Whether a file of either format can hold the name and give it back as it was."""
    plain = name.isascii() and name.isprintable() and not {*" #\\"} & {*name}
    return plain and 0 < len(name) <= NAME and not name.startswith(".") and name != "="


def topological(fanins: list[list[int]], first: int) -> list[int] | int:
    """An order of gates in which each comes after all that it reads.

    Args:
        fanins: Nodes that each gate reads; gate ``g`` is node ``first + g``, smaller nodes are inputs.
        first: Node of the first gate.

    Returns:
        The order, gates that are in order already stay so; or, if there is a cycle, one gate that is on it.
    """
    state = bytearray(len(fanins))  # 1: on the path, 2: placed
    order: list[int] = []
    for root in range(len(fanins)):
        stack = [root]
        while stack:
            gate = stack[-1]
            if state[gate]:
                stack.pop()
                if state[gate] == 1:
                    state[gate] = 2
                    order.append(gate)
                continue
            state[gate] = 1
            for node in fanins[gate]:
                if node >= first and state[node - first] != 2:
                    if state[node - first] == 1:
                        return node - first
                    stack.append(node - first)
    return order


def refuse(line: int, what: str) -> FileError:
    """The error for a line of a file, counted from 1."""
    return FileError(f"line {line}: {what}")


def quoted(text: bytes) -> str:
    """A piece of a file in an error message: short, printable, in quotes."""
    short = text if len(text) <= 40 else text[:37] + b"..."
    return repr(short)[1:]


def netlist_of(inputs: int, fanins: list[list[int]], tables: list[int], outputs: list[int], k: int) -> Netlist:
    """A netlist from lists; rows of fewer than ``k`` nodes are filled with node 0.

    The tables of such rows have ``2 ** k`` bits already, and ignore the columns filled.
    """
    rows = np.array([row + [0] * (k - len(row)) for row in fanins], np.int32).reshape(-1, k)
    return Netlist(inputs=inputs, fanins=rows, tables=np.array(tables, np.uint64), outputs=np.array(outputs, np.int32))
