"""AIGER files, ASCII and binary: and-inverter graphs with latches.

Source: Biere, The AIGER And-Inverter Graph Format, 2007, and Biere, Heljanko, Wieringa, AIGER 1.9 and Beyond, 2011.
A file is never believed: what it claims to hold must fit in the bytes it has before anything is made of it.
"""

from __future__ import annotations

import re

import numpy as np

from edgegate.errors import FileError, UnsafeError
from edgegate.logic.aig import to_aig
from edgegate.logic.circuit import LITERALS, Circuit, quoted, refuse, repeated, topological, writable
from edgegate.logic.netlist import Array, Netlist

SPARE_INPUTS = 1 << 16
"""Inputs that a binary file may have beyond its bytes: it spends none on them."""
SECTIONS = ("bad states", "invariant constraints", "justice properties", "fairness constraints")
NUMBERS = {n: re.compile(rb"\d{1,10}" + rb" (\d{1,10})" * (n - 1)) for n in (1, 2, 3)}


def read(data: bytes) -> Circuit:
    """The circuit in an AIGER file, ``aag`` or ``aig``.

    Raises:
        FileError: Truncated, or not what the format says; with the line or byte.
        UnsafeError: It claims more than its bytes can hold.
    """
    text = _Text(data)
    binary, (most, *counts) = _header(text)
    inputs, latches, outputs, ands = counts
    ins = np.arange(2, 2 * inputs + 2, 2) if binary else text.numbers(inputs, 1)[:, 0]
    states, resets = _latches(text, latches, None if binary else 1, 2 * inputs + 2)
    outs_at, outs = text.line, text.numbers(outputs, 1)[:, 0]
    if binary:
        gates = _deltas(text, ands, 2 * (inputs + latches) + 2)
        at = 0
    else:
        at, gates = text.line, text.numbers(ands, 3)
    network = _Network(text, most, np.concatenate([ins, states[:, 0], gates[:, 0]]), inputs + latches, at)
    netlist = network.netlist(gates[:, 1:], np.concatenate([outs, states[:, 1]]), outs_at)
    names = _symbols(text, {"i": inputs, "l": latches, "o": outputs})
    return Circuit(netlist=netlist, inputs=names["i"], outputs=names["o"], latches=names["l"], resets=resets)


class _Text:
    """The file, read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.line = data, 0, 1
        self.binary = False

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def where(self, line: int, what: str) -> FileError:
        """An error; behind binary data there are no lines to count."""
        return FileError(f"byte {self.at}: {what}") if self.binary else refuse(line, what)

    def take(self) -> bytes:
        """The next line, without its end."""
        if not self.left:
            raise self.where(self.line, "truncated: the file ends before all that its header tells")
        end = self.data.find(b"\n", self.at)
        end = end if end >= 0 else len(self.data)
        line = self.data[self.at : end]
        self.at, self.line = min(end + 1, len(self.data)), self.line + 1
        return line

    def numbers(self, lines: int, columns: int) -> Array:
        """int64 [lines, columns]: lines of that many literals each."""
        found: list[bytes] = []
        form = NUMBERS[columns]
        for _ in range(lines):
            line = self.take()
            if not form.fullmatch(line):
                raise self.where(self.line - 1, f"expected {columns} numbers with a space between, got {quoted(line)}")
            found += line.split(b" ")
        values = np.array(list(map(int, found)), np.int64).reshape(-1, columns)
        if (values >= LITERALS).any():
            row = int(np.argmax((values >= LITERALS).any(1)))
            raise self.where(self.line - lines + row, f"literals end at {LITERALS - 1}")
        return values


def _header(text: _Text) -> tuple[bool, list[int]]:
    """Whether the file is binary; M, I, L, O, A."""
    line = text.take() if text.left else b""
    match = re.fullmatch(rb"(aag|aig)((?: \d{1,10}){5,9})", line)
    if not match:
        raise refuse(1, f"no AIGER header ('aag' or 'aig' and five numbers): {quoted(line)}")
    binary, numbers = match[1] == b"aig", [int(n) for n in match[2].split()]
    for name, count in zip(SECTIONS, numbers[5:], strict=False):
        if count:
            # ABC writes outputs as bad states once a latch starts as 1
            raise refuse(1, f"{count} {name}: only inputs, latches, outputs and AND gates are read; write BLIF instead")
    most, inputs, latches, outputs, ands = numbers[:5]
    if 2 * most + 1 >= LITERALS or inputs + latches + ands > most:
        raise refuse(1, f"a largest variable of {most} does not go with {inputs + latches + ands} variables")
    if binary and most != inputs + latches + ands:
        raise refuse(1, f"binary files number without gaps: {inputs + latches + ands} variables, not {most}")
    least = (0 if binary else 2 * inputs) + (2 if binary else 4) * latches + 2 * outputs + (2 if binary else 6) * ands
    if least > text.left + 1 or (binary and inputs > len(text.data) + SPARE_INPUTS):
        raise UnsafeError(f"line 1: the header claims more than the {text.left} bytes that follow can hold")
    return binary, numbers[:5]


def _latches(text: _Text, count: int, own: int | None, first: int) -> tuple[Array, tuple[int, ...]]:
    """int64 [L, 2]: the literals of the states and of the next states; and the resets.

    Args:
        text: The file.
        count: How many.
        own: 1 if lines begin with the state's literal, None if that goes without saying.
        first: The first state's literal then.
    """
    states, resets = np.zeros((count, 2), np.int64), []
    for i in range(count):
        line = text.take()
        if not re.fullmatch(rb"\d{1,10}( \d{1,10}){1,2}" if own else rb"\d{1,10}( \d{1,10})?", line):
            raise text.where(text.line - 1, f"no latch: {quoted(line)}")
        values = [int(n) for n in line.split()]
        state, following, *reset = values if own else [first + 2 * i, *values]
        if reset not in ([], [0], [1]):
            raise text.where(text.line - 1, f"a latch must start as 0 or 1, not as {reset[0]}: give it a reset value")
        if max(values) >= LITERALS:
            raise text.where(text.line - 1, f"literals end at {LITERALS - 1}")
        states[i] = state, following
        resets.append(reset[0] if reset else 0)
    return states, tuple(resets)


def _deltas(text: _Text, count: int, first: int) -> Array:
    """int64 [A, 3]: the ANDs of a binary file: 2 * A differences of 7 bits a byte, the last byte below 128."""
    text.binary = True
    body = np.frombuffer(text.data, np.uint8, offset=text.at)[: 10 * count]
    ends = np.flatnonzero(body < 128)[: 2 * count]
    if len(ends) < 2 * count:
        raise text.where(0, f"truncated: {len(ends) // 2} of {count} AND gates are there")
    starts = np.concatenate([[0], ends[:-1] + 1]) if count else ends
    lengths = ends - starts + 1
    if count and lengths.max() > 5:
        raise text.where(0, f"AND gate {int(np.argmax(lengths > 5)) // 2}: a difference of more than 5 bytes")
    values = np.zeros(2 * count, np.int64)
    for j in range(5):
        more = np.flatnonzero(lengths > j)
        values[more] |= (body[starts[more] + j] & 127).astype(np.int64) << (7 * j)
    own = first + 2 * np.arange(count, dtype=np.int64)
    right = own - values[::2]
    gates = np.stack([own, right, right - values[1::2]], 1)
    if (wrong := (right >= own) | (gates[:, 2] < 0)).any():
        gate = int(np.argmax(wrong))
        raise text.where(0, f"AND gate {gate} reads literals {gates[gate, 1:].tolist()}: not of nodes before its own")
    text.at += int(ends[-1]) + 1 if count else 0
    return gates


class _Network:
    """Variables of the file as nodes of a netlist."""

    def __init__(self, text: _Text, most: int, defined: Array, first: int, line: int) -> None:
        self.text, self.first, self.line, self.sparse = text, first + 1, line, defined >> 1
        self.order = np.argsort(self.sparse, kind="stable")
        self.sorted = self.sparse[self.order]
        if not len(defined):
            return
        if (defined & 1).any() or self.sorted[0] == 0 or self.sorted[-1] > most:
            wrong = (defined & 1 != 0) | (self.sparse == 0) | (self.sparse > most)
            literal = int(defined[np.argmax(wrong)])
            raise FileError(f"literal {literal} defines no variable of 1 to {most}")
        if (double := np.diff(self.sorted) == 0).any():
            literal = 2 * int(self.sorted[np.argmax(double)])
            raise FileError(f"literal {literal} is defined twice")

    def literals(self, read: Array, line: int) -> Array:
        """The literals of the netlist for those of the file, one row a line."""
        variables = read >> 1
        at = np.searchsorted(self.sorted, variables)
        found = np.append(self.sorted, -1)[at] == variables
        if (bad := ~found & (variables != 0)).any():
            row = int(np.argmax(bad.reshape(len(bad), -1).any(1)))
            literal = int(read[bad][0])
            raise self.text.where(line + row, f"literal {literal} is of a variable that nothing defines")
        nodes = np.where(variables == 0, 0, np.append(self.order, 0)[at] + 1)
        return 2 * nodes + (read & 1)

    def netlist(self, ands: Array, outputs: Array, line: int) -> Netlist:
        """The netlist of the ANDs' operands and the outputs; ``line`` is that of the first output."""
        operands, outs = self.literals(ands, self.line), self.literals(outputs, line)
        own = self.first + np.arange(len(ands))
        if (operands >> 1 >= own[:, None]).any():
            order = topological((operands >> 1).tolist(), self.first)
            if isinstance(order, int):
                raise self.text.where(self.line + order, "this AND gate reads itself, by way of others")
            renamed = np.arange(self.first + len(ands))
            renamed[self.first + np.array(order)] = own
            operands = 2 * renamed[operands[order] >> 1] + (operands[order] & 1)
            outs = 2 * renamed[outs >> 1] + (outs & 1)
        # the one address at which both operands are as wanted
        address = 3 - (operands[:, 0] & 1) - 2 * (operands[:, 1] & 1)
        return Netlist(
            inputs=self.first - 1,
            fanins=(operands >> 1).astype(np.int32),
            tables=np.uint64(1) << address.astype(np.uint64),
            outputs=outs.astype(np.int32),
        )


def _symbols(text: _Text, counts: dict[str, int]) -> dict[str, tuple[str, ...]]:
    """The names of inputs, latches and outputs; i0, l0, o0 and so on where the file gives none."""
    names: dict[str, dict[int, str]] = {kind: {} for kind in counts}
    while text.left:
        line = text.take()
        if line == b"c":
            break
        match = re.fullmatch(rb"([ilo])(\d{1,10}) (.+)", line)
        kind, at = (match[1].decode(), int(match[2])) if match else ("", 0)
        if not match or at >= counts[kind] or at in names[kind]:
            raise text.where(text.line - 1, f"no symbol, or one too many: {quoted(line)}")
        name = match[3].decode("ascii", "replace")
        if not writable(name):
            raise text.where(text.line - 1, f"a name is printable ASCII without spaces, not {quoted(match[3])}")
        names[kind][at] = name
    full = {kind: tuple(names[kind].get(i, f"{kind}{i}") for i in range(n)) for kind, n in counts.items()}
    if double := repeated(full["i"] + full["l"]) or repeated(full["o"]):
        raise FileError(f"two signals are named {double!r}: rename one in the symbol table")
    return full


def write(circuit: Circuit, *, binary: bool = True, comment: str = "") -> bytes:
    """The AIGER file of a circuit.

    Args:
        circuit: Gates of more than two inputs are written as several ANDs.
        binary: ``aig``, else ``aag``.
        comment: Text for the end of the file.
    """
    inputs, ands, outputs = to_aig(circuit.netlist)
    latches, outs = len(circuit.latches), len(circuit.outputs)
    plain, first = inputs - latches, 2 * inputs + 2
    head = f"{'aig' if binary else 'aag'} {inputs + len(ands)} {plain} {latches} {outs} {len(ands)}"
    lines = [head, *([] if binary else map(str, range(2, 2 * plain + 2, 2)))]
    for i, (following, reset) in enumerate(zip(outputs[outs:].tolist(), circuit.resets, strict=True)):
        state = [] if binary else [2 * (plain + i + 1)]
        lines.append(" ".join(map(str, [*state, following, *([1] if reset else [])])))
    lines += map(str, outputs[:outs].tolist())
    operands = np.sort(ands.astype(np.int64), 1)[:, ::-1]
    own = first + 2 * np.arange(len(ands), dtype=np.int64)
    if not binary:
        lines += [f"{a} {b} {c}" for a, (b, c) in zip(own.tolist(), operands.tolist(), strict=True)]
    body = _encode(np.stack([own - operands[:, 0], operands[:, 0] - operands[:, 1]], 1).ravel()) if binary else b""
    symbols = [
        f"{kind}{i} {name}"
        for kind, names in (("i", circuit.inputs), ("l", circuit.latches), ("o", circuit.outputs))
        for i, name in enumerate(names)
    ]
    end = [*symbols, *(["c", comment] if comment else [])]
    return "".join(f"{line}\n" for line in lines).encode() + body + "".join(f"{line}\n" for line in end).encode()


def _encode(values: Array) -> bytes:
    """Numbers as differences in the binary format: 7 bits a byte, low ones first, 128 added to all but the last."""
    lengths = np.maximum(1, sum((values >> (7 * j) > 0).astype(np.int64) for j in range(5)))
    ends = np.cumsum(lengths)
    body = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for j in range(5):
        more = np.flatnonzero(lengths > j)
        last = (lengths[more] > j + 1).astype(np.int64) << 7
        body[ends[more] - lengths[more] + j] = (values[more] >> (7 * j)) & 127 | last
    return body.tobytes()
