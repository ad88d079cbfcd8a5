"""A circuit of signals: every one has a width, a level, and the text of what drives it.

The level counts what stands one after the other: a gate, an adder, a comparison, a selection are one level each.
With registers after every N levels, a signal of level L belongs to stage ``(L - 1) // N``. Whoever reads it in a later
stage reads a register, one for each stage in between, so every path from an input to an output has the same registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["input", "gate", "adder", "compare", "select", "wire"]
FALSE = 0
"""The signal that is the constant 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One signal.

    Attributes:
        name: What is declared; of an input bit, what its registers are called after.
        width: Bits.
        level: 0 for inputs and constants.
        kind: Of what drives it.
        text: What drives it, ``{0}`` for the first operand; of an input bit, how it is read.
        operands: Signals that it reads.
        signed: Whether its bits are a number in two's complement.
        section: What it belongs to, for a comment; "" continues the section before.
    """

    name: str
    width: int
    level: int
    kind: Kind
    text: str
    operands: tuple[int, ...] = ()
    signed: bool = False
    section: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """A part of an output port, the higher bits first: ``text`` of the signals that it reads."""

    text: str
    operands: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A port of the module.

    Attributes:
        name: The identifier.
        width: Bits.
        about: Lines of a comment: what the bits mean.
        drives: Of an output: what stands in it, lowest bits first.
        extra: Whether it is no output of the model, but scores beside the sums.
    """

    name: str
    width: int
    about: tuple[str, ...] = ()
    drives: tuple[Drive, ...] = ()
    extra: bool = False


@dataclass(kw_only=True)
class Circuit:
    """Signals in an order in which each reads what stands before it."""

    signals: list[Signal] = field(
        default_factory=lambda: [Signal(name="", width=1, level=0, kind="input", text="1'b0")]
    )

    def add(
        self, name: str, text: str, operands: Sequence[int], *, kind: Kind, width: int = 1, signed: bool = False,
        section: str = "",
    ) -> int:  # fmt: skip
        """A new signal of the level above its operands, a wire of their own level; its number."""
        level = (kind != "wire") + max((self.signals[i].level for i in operands), default=0)
        return self._append(Signal(
            name=name, text=text, operands=tuple(operands), kind=kind, width=width, level=level, signed=signed,
            section=section,
        ))  # fmt: skip

    def input(self, name: str, text: str) -> int:
        """A bit of an input port; its number."""
        return self._append(Signal(name=name, width=1, level=0, kind="input", text=text))

    def _append(self, signal: Signal) -> int:
        self.signals.append(signal)
        return len(self.signals) - 1


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stages and registers of a circuit.

    Attributes:
        circuit: What is scheduled.
        every: Levels between registers; None: no registers at all.
        stages: Registers on every path, and so the latency; 0 without registers.
        levels: The greatest level that an output needs.
        live: Whether a signal reaches an output, by number.
        last: The last stage that reads a signal, by number.
    """

    circuit: Circuit
    every: int | None
    stages: int
    levels: int
    live: list[bool] = field(repr=False)
    last: list[int] = field(repr=False)

    @classmethod
    def of(cls, circuit: Circuit, outputs: Sequence[Port], every: int | None) -> Schedule:
        """The schedule for these outputs; what they do not need is left out."""
        signals = circuit.signals
        read = [i for port in outputs for drive in port.drives for i in drive.operands]
        levels = max((signals[i].level for i in read), default=0)
        stages = 0 if every is None else max(-(-levels // every), 1)
        live, last = [False] * len(signals), [0] * len(signals)
        for i in read:
            live[i], last[i] = True, stages
        for i in range(len(signals) - 1, 0, -1):
            if not live[i]:
                continue
            own = _stage(signals[i].level, every)
            for operand in signals[i].operands:
                live[operand], last[operand] = True, max(last[operand], own)
        return cls(circuit=circuit, every=every, stages=stages, levels=levels, live=live, last=last)

    def stage(self, number: int) -> int:
        """The stage in which a signal is made."""
        return _stage(self.circuit.signals[number].level, self.every)

    def registers(self, number: int) -> range:
        """The stages at whose beginning a register holds the signal."""
        own = self.stage(number)
        return range(0) if self.constant(number) else range(own + 1, max(self.last[number], own) + 1)

    def constant(self, number: int) -> bool:
        """Whether the signal never changes, and so is the same in every stage."""
        signal = self.circuit.signals[number]
        return number == FALSE or (signal.kind == "wire" and not signal.operands)

    def used(self) -> list[int]:
        """The live signals, in order, without the constant."""
        return [i for i in range(1, len(self.live)) if self.live[i]]

    def shown(self, number: int, stage: int) -> str:
        """How a signal is read in a stage."""
        signal = self.circuit.signals[number]
        if self.constant(number) or stage <= self.stage(number):
            return signal.text if signal.kind == "input" else signal.name
        return f"{signal.name}_s{stage}"

    def report(self) -> dict[str, int]:
        """What the circuit takes, before synthesis.

        Returns:
            luts: gates; widest: inputs of the widest; levels: gates, adders, comparisons and selections one after the
            other; adders and adder_bits: two- and three-operand adders, and the bits of their results; comparator_bits
            and selector_bits of the argmax; register_bits, without those of the valid signal; latency in cycles.
        """
        signals = self.circuit.signals
        used = self.used()
        wide = {kind: sum(signals[i].width for i in used if signals[i].kind == kind) for kind in ("adder", "select")}
        compared = [signals[signals[i].operands[0]].width for i in used if signals[i].kind == "compare"]
        gates = [i for i in used if signals[i].kind == "gate"]
        return {
            "luts": len(gates),
            "widest_lut": max((len(signals[i].operands) for i in gates), default=0),
            "lut_depth": max((signals[i].level for i in gates), default=0),
            "levels": self.levels,
            "adders": sum(signals[i].kind == "adder" for i in used),
            "adder_bits": wide["adder"],
            "comparator_bits": sum(compared),
            "selector_bits": wide["select"],
            "register_bits": sum(signals[i].width * len(self.registers(i)) for i in used) + self.stages,
            "latency": self.stages,
        }


def _stage(level: int, every: int | None) -> int:
    return 0 if every is None else max(level - 1, 0) // every
