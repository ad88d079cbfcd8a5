"""BLIF files: networks of tables with names.

Source: Berkeley Logic Interchange Format, University of California, Berkeley, 1992, sections 1 to 3. One model of
``.names`` and ``.latch``; hierarchy, library gates and external don't-cares are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgegate.errors import FileError
from edgegate.logic._blif_covers import Covers, covers_of
from edgegate.logic.aig import cofactors, support, widen
from edgegate.logic.circuit import Circuit, netlist_of, quoted, refuse, repeated, topological, writable
from edgegate.logic.netlist import Netlist

TIMING = frozenset(
    b".area .delay .wire_load_slope .wire .input_arrival .output_required .default_input_arrival .input_drive"
    b" .default_output_required .default_input_drive .max_input_load .default_max_input_load .output_load"
    b" .default_output_load .clock .clock_event .cycle .attr .param .cname".split()
)
"""What says nothing about the function."""
FLATTEN = "write it as one flat model of .names and .latch (yosys: flatten; write_blif)"
"""What to do about hierarchy."""


def read(data: bytes) -> Circuit:
    """The circuit in a BLIF file; a ``.names`` of more than 6 inputs becomes several gates.

    Raises:
        FileError: Not what the format says, a signal that nothing or two things drive, a cycle; with the line.
    """
    model = _Model()
    for line, words in _lines(data):
        model.read(line, words)
    return model.circuit()


def _lines(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Lines with words in them: their number and the words; comments are gone, lines that go on are joined."""
    before: list[bytes] = []
    start = 0
    for number, text in enumerate(data.split(b"\n"), 1):
        line = text.partition(b"#")[0].rstrip() if b"#" in text else text.rstrip()
        start = start or number
        if line.endswith(b"\\"):
            before += line[:-1].split()
            continue
        words = [*before, *line.split()] if before else line.split()
        if words:
            yield start, words
        before, start = [], 0
    if before:
        yield start, before


class _Model:
    """A model as far as it is read. Signals are numbered as they are first seen."""

    def __init__(self) -> None:
        self.begun = self.ended = False
        self.numbers: dict[bytes, int] = {}
        self.inputs: list[int] = []
        self.outputs: list[tuple[int, int]] = []
        self.latches: list[tuple[int, int, int, int]] = []
        self.clock: bytes | None = None
        self.covers = Covers()
        self.drivers: dict[int, int] = {}
        self.commands = {
            b".names": self._names, b".inputs": self._inputs, b".outputs": self._outputs, b".latch": self._latch,
            b".model": self._model, b".end": self._end,
        }  # fmt: skip

    def read(self, line: int, words: list[bytes]) -> None:
        """One line."""
        if words[0][0] != 46:  # a row of a cover, or nothing known
            self.covers.row(line, words)
            return
        self.covers.close()
        if words[0] in self.commands:
            if self.ended:
                raise refuse(line, f"{quoted(words[0])} after .end: one model is read; {FLATTEN}")
            self.commands[words[0]](line, words[1:])
        elif words[0] not in TIMING:
            raise refuse(line, f"{quoted(words[0])} is not read; {FLATTEN}")

    def _model(self, line: int, words: list[bytes]) -> None:
        if self.begun:
            raise refuse(line, f"a second model; {FLATTEN}")
        self.begun = True

    def _end(self, line: int, words: list[bytes]) -> None:
        self.ended = True

    def _signal(self, line: int, name: bytes) -> int:
        number = self.numbers.get(name)
        if number is None:
            if not writable(name.decode("ascii", "replace")):
                raise refuse(line, f"{quoted(name)} is no name: printable ASCII is")
            number = self.numbers[name] = self.covers.signal()
        return number

    def _driven(self, line: int, name: bytes) -> int:
        signal = self._signal(line, name)
        if signal in self.drivers:
            raise refuse(line, f"signal {quoted(name)} is driven twice, first in line {self.drivers[signal]}")
        self.drivers[signal] = line
        return signal

    def _inputs(self, line: int, words: list[bytes]) -> None:
        self.inputs += [self._driven(line, name) for name in words]

    def _outputs(self, line: int, words: list[bytes]) -> None:
        self.outputs += [(line, self._signal(line, name)) for name in words]

    def _names(self, line: int, words: list[bytes]) -> None:
        if not words:
            raise refuse(line, ".names without a signal")
        signals = [self._signal(line, name) for name in words[:-1]]
        self.covers.open(line, signals, self._driven(line, words[-1]))

    def _latch(self, line: int, words: list[bytes]) -> None:
        if not 2 <= len(words) <= 5:
            raise refuse(line, f".latch has 2 to 5 words, not {len(words)}")
        following, state, *rest = words
        reset = rest[-1] if len(rest) in (1, 3) else b"3"
        if reset not in (b"0", b"1"):
            raise refuse(line, f"latch {quoted(state)} starts as {quoted(reset)}: give it 0 or 1 (2 and 3 are unknown)")
        if len(rest) > 1:
            self._clocked(line, rest[0], rest[1])
        self.latches.append((line, self._signal(line, following), self._driven(line, state), int(reset)))

    def _clocked(self, line: int, kind: bytes, clock: bytes) -> None:
        if kind != b"re":
            raise refuse(line, f"a latch of type {quoted(kind)}: only re, rising edge, is read")
        if self.clock not in (None, clock):
            raise refuse(line, f"a second clock, {quoted(clock)} beside {quoted(self.clock or b'')}")
        self.clock = clock

    def circuit(self) -> Circuit:
        """The circuit, when all lines are read."""
        self.covers.close()
        if not self.begun and not self.numbers:
            raise FileError("line 1: no BLIF model")
        names = [name.decode() for name in self.numbers]
        if double := repeated([str(signal) for _, signal in self.outputs]):
            line = next(line for line, signal in reversed(self.outputs) if str(signal) == double)
            raise refuse(line, f"output {self._name(int(double))} is listed twice")
        states = [latch[2] for latch in self.latches]
        outputs = self.outputs + [latch[:2] for latch in self.latches]
        of = dict(zip(self.numbers.values(), names, strict=True))
        return Circuit(
            netlist=self._netlist(self.inputs + states, outputs),
            inputs=tuple(of[i] for i in self.inputs),
            outputs=tuple(of[signal] for _, signal in self.outputs),
            latches=tuple(of[i] for i in states),
            resets=tuple(latch[3] for latch in self.latches),
        )

    def _name(self, signal: int) -> str:
        return quoted(next((name for name, number in self.numbers.items() if number == signal), b"?"))

    def _netlist(self, inputs: list[int], outputs: list[tuple[int, int]]) -> Netlist:
        gates = self.covers.gates
        node = [-1] * self.covers.signals
        for number, signal in enumerate([*inputs, *(gate.signal for gate in gates)], 1):
            node[signal] = number
        first = len(inputs) + 1
        fanins = [[node[signal] for signal in gate.reads] for gate in gates]
        for row, gate in zip(fanins, gates, strict=True):
            if -1 in row:
                raise refuse(gate.line, f"signal {self._name(gate.reads[row.index(-1)])} is driven by nothing")
        for line, signal in outputs:
            if node[signal] < 0:
                raise refuse(line, f"signal {self._name(signal)} is driven by nothing")
        order = topological(fanins, first)
        if isinstance(order, int):
            name = self._name(gates[order].signal)
            raise refuse(gates[order].line, f"signal {name} depends on itself, without a latch between")
        placed = [gates[i] for i in order]
        for number, gate in enumerate(placed, first):
            node[gate.signal] = number
        rows = [[node[signal] for signal in gate.reads] for gate in placed]
        k = max(map(len, rows), default=1) or 1
        tables = [widen(gate.table, len(row), k) for gate, row in zip(placed, rows, strict=True)]
        return netlist_of(len(inputs), rows, tables, [2 * node[signal] for _, signal in outputs], k)


def write(circuit: Circuit, *, model: str = "edgegate") -> bytes:
    """The BLIF file of a circuit: a ``.names`` for each gate, and one for each output that is no gate of its own.

    Raises:
        ValueError: An output has the name of an input and is another signal.
    """
    netlist = circuit.netlist
    names, copies = _signal_names(circuit)
    after = netlist.outputs[len(circuit.outputs) :].tolist()
    lines = [f".model {model}", _wrapped(".inputs", circuit.inputs), _wrapped(".outputs", circuit.outputs)]
    for i, (state, reset) in enumerate(zip(circuit.latches, circuit.resets, strict=True)):
        lines.append(f".latch {copies.get(('next', i), names[after[i] >> 1])} {state} {reset}")
    if any(literal < 2 for literal in netlist.outputs.tolist()):
        lines.append(f".names {names[0]}")
    for node, (row, table) in enumerate(
        zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True), netlist.first
    ):
        full = widen(table, netlist.k)
        for j in [j for j, f in enumerate(row) if f == 0]:
            full = cofactors(full, j)[0]
        used = support(full)
        lines.append(" ".join([".names", *(names[row[j]] for j in used), names[node]]))
        lines += covers_of(full, tuple(used))
    for (kind, i), name in copies.items():
        literal = int(netlist.outputs[i + (len(circuit.outputs) if kind == "next" else 0)])
        lines += [f".names {names[literal >> 1]} {name}", f"{1 - (literal & 1)} 1"]
    return "\n".join([*lines, ".end", ""]).encode()


def _signal_names(circuit: Circuit) -> tuple[list[str], dict[tuple[str, int], str]]:
    """A name for each node; and those of outputs and next states that need a ``.names`` of their own."""
    netlist = circuit.netlist
    taken = {*circuit.inputs, *circuit.latches, *circuit.outputs}
    prefix = "n"
    while any(re.fullmatch(rf"{prefix}(c|\d+|next\d+)", name) for name in taken):
        prefix += "_"
    inputs = [*circuit.inputs, *circuit.latches]
    names = [
        f"{prefix}c",
        *inputs,
        *(f"{prefix}{node}" for node in range(netlist.first, netlist.first + netlist.gates)),
    ]
    copies: dict[tuple[str, int], str] = {}
    own: set[int] = set()
    for i, literal in enumerate(netlist.outputs.tolist()):
        name = circuit.outputs[i] if i < len(circuit.outputs) else None
        node, inverted = literal >> 1, literal & 1
        if name is None:
            if inverted:
                copies["next", i - len(circuit.outputs)] = f"{prefix}next{i - len(circuit.outputs)}"
        elif names[node] == name and not inverted:
            continue
        elif name in inputs:
            raise ValueError(f"output {name!r} has the name of an input, and is another signal: rename it")
        elif inverted or node < netlist.first or node in own:
            copies["out", i] = name
        else:
            names[node] = name
            own.add(node)
    return names, copies


def _wrapped(command: str, names: tuple[str, ...]) -> str:
    """A command and its names, eight in a line."""
    rows = [" ".join(names[i : i + 8]) for i in range(0, len(names), 8)]
    return " \\\n".join([command, *rows]) if rows else command
