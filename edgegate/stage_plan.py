"""``stages.json``: which programs an artifact of stages holds, which samples each one runs for, and what crosses.

The artifact holds each program as an artifact of its own, ``stage0.egate``, ``stage1.egate``, ...; any of them can be
taken out and run alone, on the core that it was compiled for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from edgegate import _json
from edgegate._npz import Array
from edgegate.artifact import Artifact
from edgegate.errors import UnsafeError
from edgegate.payload import Payload

STAGES = "stages.json"
KIND = "stages"
"""The target of an artifact of stages."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One stage.

    Attributes:
        file: Its artifact.
        reads: Names of the values that it takes, in order.
        gives: Names of the values that it makes, in order.
        when: (bit, what it must be) for all of the samples that the stage runs for.
        payloads: How each value that it takes comes in; None where it is not sent, or not packed.
        macs: Multiplications with accumulation, a sample.
        elements: Elements made by all else, a sample.
    """

    file: str
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    when: tuple[tuple[str, bool], ...]
    payloads: tuple[Payload | None, ...]
    macs: int
    elements: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The value ``name`` is ``yes`` where ``bit`` is set, else ``no``."""

    name: str
    bit: str
    yes: str
    no: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the stages make one program.

    Attributes:
        steps: Programs and choices, in the order in which they run.
        inputs: The values that are the inputs of the whole, in its order.
        outputs: The values that are its outputs.
        cuts: Bits that stop a sample.
        batch: Samples of one call.

    Raises:
        ValueError: A value is read before it is made, or made twice.
    """

    steps: tuple[Program | Choice, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cuts: tuple[str, ...]
    batch: int

    def __post_init__(self) -> None:
        known = set(self.inputs)
        for step in self.steps:
            reads, gives = _sides(step)
            if isinstance(step, Program) and len(step.payloads) != len(step.reads):
                raise ValueError(f"{step.file}: {len(step.payloads)} payloads for {len(step.reads)} values")
            if lost := sorted(set(reads) - known):
                raise ValueError(f"{lost[0]} is read before it is made")
            if twice := sorted(set(gives) & known):
                raise ValueError(f"{twice[0]} is made twice")
            known.update(gives)
        if lost := sorted({*self.outputs, *self.cuts} - known):
            raise ValueError(f"{lost[0]} is never made")
        if self.batch < 1 or not self.programs:
            raise ValueError(f"impossible stages: {len(self.programs)}, of {self.batch} samples a call")

    @property
    def programs(self) -> list[Program]:
        """The stages, in order."""
        return [step for step in self.steps if isinstance(step, Program)]

    def conditions(self) -> list[tuple[tuple[str, bool], ...]]:
        """For each output: which samples have it."""
        made = {name: step.when for step in self.programs for name in step.gives}
        return [made.get(name, ()) for name in self.outputs]

    def crossing(self) -> list[list[str]]:
        """For each stage: the values that come into it, from other stages or, behind the first, from outside."""
        return [[], *(list(program.reads) for program in self.programs[1:])]

    def of_sample(self, array: Array, sample: int) -> Array:
        """What one sample has of a value."""
        return array if self.batch == 1 else array[sample]

    def document(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        steps = [_document(step) for step in self.steps]
        rest = {name: list(getattr(self, name)) for name in ("inputs", "outputs", "cuts")}
        return {"steps": steps, **rest, "batch": self.batch}

    @classmethod
    def of(cls, value: Any) -> Plan:
        """Read what :meth:`document` wrote; ValueError if it is anything else."""
        entries = _json.record(value, ("steps", "inputs", "outputs", "cuts", "batch"), "the stages")
        names = {name: _json.items(entries[name], str, name) for name in ("inputs", "outputs", "cuts")}
        steps = tuple(map(_step, _json.items(entries["steps"], dict, "steps")))
        return cls(steps=steps, batch=_json.typed(entries["batch"], int, "batch"), **names)


def plan_of(artifact: Artifact) -> Plan:
    """The plan of an artifact of stages.

    Raises:
        UnsafeError: It was altered.
    """
    try:
        plan = Plan.of(_json.parse(artifact.files[STAGES]))
        if lost := sorted({p.file for p in plan.programs} - set(artifact.files)):
            raise ValueError(f"{lost[0]} is missing")
    except (KeyError, ValueError) as e:
        raise UnsafeError(f"{STAGES}: {e}") from e
    return plan


def stages_of(artifact: Artifact) -> list[Artifact]:
    """The stages of an artifact of stages, in order.

    Raises:
        UnsafeError: One of them, or the plan, was altered.
    """
    found = [Artifact.unpack(artifact.files[program.file]) for program in plan_of(artifact).programs]
    if any(is_staged(stage) for stage in found):
        raise UnsafeError("a stage cannot have stages")
    return found


def is_staged(artifact: Artifact) -> bool:
    """Whether an artifact is one of stages."""
    return artifact.manifest.target.kind == KIND


def holds(when: Sequence[tuple[str, bool]], bits: Mapping[str, Array], count: int) -> Array:
    """Which samples a condition holds for, bool [count], by bits of one a sample."""
    return reduce(np.logical_and, (bits[name].reshape(-1) == wanted for name, wanted in when), np.ones(count, np.bool_))


def _sides(step: Program | Choice) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a step reads and what it gives."""
    if isinstance(step, Choice):
        return (step.bit, step.yes, step.no), (step.name,)
    return (*step.reads, *(name for name, _ in step.when)), step.gives


def _document(step: Program | Choice) -> dict[str, Any]:
    if isinstance(step, Choice):
        return {"name": step.name, "bit": step.bit, "yes": step.yes, "no": step.no}
    when = [[name, wanted] for name, wanted in step.when]
    sizes = {"macs": step.macs, "elements": step.elements}
    payloads = [None if payload is None else payload.document() for payload in step.payloads]
    names = {"reads": list(step.reads), "gives": list(step.gives)}
    return {"file": step.file, **names, "when": when, "payloads": payloads, **sizes}


def _step(value: Any) -> Program | Choice:
    if "file" not in value:
        entries = _json.record(value, ("name", "bit", "yes", "no"), "a choice")
        return Choice(**{key: _json.typed(entry, str, key) for key, entry in entries.items()})
    entries = _json.record(value, ("file", "reads", "gives", "when", "payloads", "macs", "elements"), "a stage")
    pairs = [_json.typed(pair, list, "when") for pair in _json.items(entries["when"], list, "when")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("when must hold pairs")
    return Program(
        file=_json.typed(entries["file"], str, "file"),
        reads=_json.items(entries["reads"], str, "reads"), gives=_json.items(entries["gives"], str, "gives"),
        payloads=tuple(map(_payload, _json.typed(entries["payloads"], list, "payloads"))),
        when=tuple((_json.typed(n, str, "bit"), _json.typed(w, bool, "when")) for n, w in pairs),
        macs=_json.typed(entries["macs"], int, "macs"), elements=_json.typed(entries["elements"], int, "elements"),
    )  # fmt: skip


def _payload(value: Any) -> Payload | None:
    if value is None:
        return None
    entries = _json.record(value, ("shape", "dtype", "zero_point", "form"), "a payload")
    return Payload(
        shape=_json.items(entries["shape"], int, "shape"), dtype=_json.typed(entries["dtype"], str, "dtype"),
        zero_point=_json.typed(entries["zero_point"], int, "zero_point"),
        form=_json.typed(entries["form"], str, "form"),
    )  # fmt: skip
