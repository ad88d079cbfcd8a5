"""What a design is in hardware: its ports, its circuit, and what of it no hardware holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgegate.targets._design import Design, Output
from edgegate.targets.rtl.build import Builder, signed_width
from edgegate.targets.rtl.circuit import Drive, Port, Schedule
from edgegate.targets.rtl.names import identifiers, prefix

LETTERS = "ntyzcvi"
"""Families of signals: gates, partial sums, sums, scores, comparisons, greatest values, places."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A design as a module.

    Attributes:
        inputs: Ports, in the order of the design's inputs.
        outputs: Ports, in the order of the design's outputs; behind those of counts, one of scores where there is one.
        fields: For every output of the design, the bits of one element, and whether it is in two's complement.
        schedule: Signals and registers.
        notes: What is true of the module and cannot be seen in it, a line each.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    fields: tuple[tuple[int, bool], ...]
    schedule: Schedule
    notes: tuple[str, ...] = field(default=())


def plan(design: Design, every: int | None) -> Plan:
    """Ports and circuit of a design.

    Args:
        design: What to build.
        every: Levels between registers; None: combinational.
    """
    texts = [given.name for given in design.inputs]
    for out in design.outputs:
        texts += [out.name, f"{out.name} score"] if _score_port(out) else [out.name]
    names = iter(identifiers(texts))
    inputs = [next(names) for _ in design.inputs]
    outputs = list(names)
    builder = Builder(prefixes={letter: prefix(letter, [*inputs, *outputs]) for letter in LETTERS})
    bits = _bits(builder, design, inputs)
    ports, fields, notes = _outputs(builder, design, bits, outputs)
    schedule = Schedule.of(builder.circuit, ports, every)
    given = [
        Port(name=name, width=spec.bits, about=(_taken(spec.name, spec.shape, spec.thresholds is not None),))
        for name, spec in zip(inputs, design.inputs, strict=True)
    ]
    return Plan(
        inputs=tuple(given), outputs=tuple(ports), fields=tuple(fields), schedule=schedule, notes=tuple(notes)
    )  # fmt: skip


def _bits(builder: Builder, design: Design, names: Sequence[str]) -> list[int]:
    """The literals of the netlist's outputs."""
    inputs = []
    for name, spec in zip(names, design.inputs, strict=True):
        inputs += [
            builder.circuit.input(f"{name}_{i}", f"{name}[{i}]" if spec.bits > 1 else name) for i in range(spec.bits)
        ]
    return builder.gates(design.netlist, inputs)


def _taken(name: str, shape: tuple[int, ...], compared: bool) -> str:
    dims = f"{list(shape)}" if shape else "one value"
    how = f"; bit f * {shape[-1]} + t is {name}[f] > thresholds[f, t], compared outside" if compared and shape else ""
    return f"input {name!a} of {dims}, element i in bit i, in C order{how}"


def _outputs(
    builder: Builder, design: Design, bits: list[int], names: list[str]
) -> tuple[list[Port], list[tuple[int, bool]], list[str]]:
    """The ports, the bits of one element of each, and notes."""
    sums = builder.sums(design.sums, bits) if design.sums is not None else []
    ports: list[Port] = []
    fields: list[tuple[int, bool]] = []
    notes, left = [], iter(names)
    for out in design.outputs:
        part = range(out.start, out.start + out.size)
        if out.kind == "bits":
            ports.append(_bit_port(next(left), out, [bits[i] for i in part]))
            fields.append((1, False))
        elif out.kind == "class":
            ports.append(_class_port(builder, next(left), out, [sums[i] for i in part]))
            fields.append((ports[-1].width, False))
        else:
            ports.append(_count_port(builder, next(left), out, design, [sums[i] for i in part]))
            fields.append((builder.width(sums[part[0]]), True))
            if _score_port(out):
                ports.append(_scores(builder, next(left), out, design, [sums[i] for i in part]))
            notes.append(_meaning(out))
    return ports, fields, notes


def _bit_port(name: str, out: Output, bits: list[int]) -> Port:
    drives = tuple(
        Drive(text="~{0}" if x & 1 else "{0}", operands=(x >> 1,)) if x > 1 else Drive(text=f"1'b{x}") for x in bits
    )
    about = f"output {out.name!a} of {list(out.shape)}, element i in bit i, in C order"
    return Port(name=name, width=len(bits), about=(about,), drives=drives)


def _class_port(builder: Builder, name: str, out: Output, sums: list[int]) -> Port:
    place = builder.argmax(sums)
    drive = Drive(text="1'b0") if place is None else Drive(text="{0}", operands=(place,))
    about = f"output {out.name!a}: the place of the greatest of {len(sums)} sums, the lowest of equals"
    return Port(name=name, width=max((len(sums) - 1).bit_length(), 1), about=(about,), drives=(drive,))


def _count_port(builder: Builder, name: str, out: Output, design: Design, sums: list[int]) -> Port:
    width, (low, high) = builder.width(sums[0]), _limits(design, out)
    about = (
        f"output {out.name!a}: {len(sums)} sums of {width} bits each, in two's complement,",
        f"sum k in bits {width} * k + {width - 1} to {width} * k; the sums lie in [{low}, {high}]",
    )
    drives = tuple(Drive(text="{0}", operands=(i,)) for i in sums)
    return Port(name=name, width=width * len(sums), about=about, drives=drives)


def _limits(design: Design, out: Output) -> tuple[int, int]:
    assert design.sums is not None, "counts are made of sums"
    low, high = design.sums.bounds()
    part = slice(out.start, out.start + out.size)
    return int(low[part].min()), int(high[part].max())


def _scores(builder: Builder, name: str, out: Output, design: Design, sums: list[int]) -> Port:
    """The scores in fixed point, where they differ from the counts by more than the place of the point."""
    fraction, step = fixed(out.tau, out.beta) or (0, 0)
    low, high = _limits(design, out)
    width = signed_width(min(low, low + step), max(high, high + step))
    builder.section = "scores"
    scores = [builder.plus(2 * i, step, width, builder.name("z")) for i in sums]
    about = (
        f"scores of {out.name!a}: {len(sums)} numbers of {width} bits each, in two's complement, in units of "
        f"2**{-fraction}:",
        f"score k = (sum k + {out.beta!r}) / {out.tau!r}, in bits {width} * k + {width - 1} to {width} * k",
    )
    drives = tuple(Drive(text="{0}", operands=(i,)) for i in scores)
    return Port(name=name, width=width * len(sums), about=about, drives=drives, extra=True)


def _score_port(out: Output) -> bool:
    found = fixed(out.tau, out.beta) if out.kind == "counts" else None
    return found is not None and found[1] != 0


def _meaning(out: Output) -> str:
    """What the counts of an output mean, and whether the module says it."""
    formula = f"{out.name!a}: score = (sum + {out.beta!r}) / {out.tau!r}"
    found = fixed(out.tau, out.beta)
    if found is None:
        return f"{formula} is left to the reader of the sums: no fixed-point number is equal; the order is the same"
    if (out.tau, out.beta) == (1, 0):
        return f"{out.name!a}: the scores are the sums"
    if found[1] == 0:
        return f"{formula}: the sums are the scores in units of 2**{-found[0]}"
    return f"{formula} has a port of its own, in units of 2**{-found[0]}"


def fixed(tau: float, beta: float) -> tuple[int, int] | None:
    """How scores ``(counts + beta) / tau`` are fixed-point numbers: bits behind the point, and beta in units of these.

    None where they are none: tau is no power of two, or beta no integer.
    """
    if tau <= 0 or math.frexp(tau)[0] != 0.5:
        return None
    return (math.frexp(tau)[1] - 1, int(beta)) if beta == int(beta) else None
