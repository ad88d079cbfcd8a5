"""The netlist between a model's edges: what targets that are nothing but logic start from.

An integer model of ``edgegate::Logic`` and ``edgegate::GroupSum`` with moves of bits around them becomes one
:class:`Design` of one sample. Every value of the graph is followed as an array of identities, of bits (literals of
the design's netlist) or of sums (their numbers), with the sample of the batch that each belongs to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import Array, where
from edgegate.logic import GroupSum, Netlist
from edgegate.targets._design_walk import Unfit, Unknown, Walk, scores, thresholds
from edgegate.targets._edges import inputs_of, outputs_of

Kind = Literal["bits", "counts", "class"]


@dataclass(frozen=True, kw_only=True)
class Input:
    """Bits that a design takes.

    Attributes:
        name: As in the user's model.
        bits: How many.
        start: The first of them among all inputs of the netlist: bit ``i`` is node ``1 + start + i``.
        shape: Of one sample; its elements in C order are the bits.
        thresholds: float32 [F, T] if the user gives F floats: bit ``f * T + t`` is ``x[f] > thresholds[f, t]``;
            None: the user gives the bits.
    """

    name: str
    bits: int
    start: int
    shape: tuple[int, ...]
    thresholds: Array | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a design gives.

    Attributes:
        name: As in the user's model.
        kind: "bits": outputs of the netlist; "counts": sums; "class": the place of the greatest of the sums, the
            lowest of equals.
        start: The first of the netlist's outputs, or of the sums, that it is made of.
        size: How many of them.
        shape: Of one sample; () for a class.
        tau: The user's scores are ``(counts + beta) / tau`` in float32; not part of the program.
        beta: As ``tau``.
    """

    name: str
    kind: Kind
    start: int
    size: int
    shape: tuple[int, ...]
    tau: float = 1.0
    beta: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A logic gate network on its own, for one sample.

    Attributes:
        netlist: Its inputs are those of ``inputs`` in order. Its outputs are the bits that ``sums`` counts, then the
            bits of ``outputs`` that are bits.
        sums: Over the netlist's outputs; None: nothing is counted.
        inputs: In the order of the model.
        outputs: In the order of the model.
        batch: Samples of one call of the model, all computed alike.
    """

    netlist: Netlist
    sums: GroupSum | None
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    batch: int = 1

    def __post_init__(self) -> None:
        if sum(given.bits for given in self.inputs) != self.netlist.inputs:
            raise ValueError("a design's inputs are those of its netlist")
        for out in self.outputs:
            there = len(self.netlist.outputs) if out.kind == "bits" else self.sums.groups if self.sums else 0
            if not 0 <= out.start <= out.start + out.size <= there or not out.size:
                raise ValueError(f"{out.name} is made of {out.kind} that are not there")

    @property
    def argmax(self) -> bool:
        """Whether an output is a class."""
        return any(out.kind == "class" for out in self.outputs)

    @property
    def tau(self) -> float:
        """Of the first output that has counts; 1 if none has."""
        return next((out.tau for out in self.outputs if out.kind == "counts"), 1.0)

    @property
    def beta(self) -> float:
        """Of the first output that has counts; 0 if none has."""
        return next((out.beta for out in self.outputs if out.kind == "counts"), 0.0)


def design_of(model: ir.Model, target: str) -> Design:
    """The design that an integer model is.

    Args:
        model: An integer model.
        target: The target that wants it, for the message.

    Raises:
        CompileError: A node is neither logic, nor a sum of bits, nor a move; all of them are listed.
    """
    stored, answers = inputs_of(model), outputs_of(model)
    walk = Walk(stored, answers)
    problems: list[Problem] = []
    behind: list[Problem] = []
    for node in model.graph:
        try:
            walk.node(node)
        except Unfit as e:
            fix = "compile the model for a processor (--target llvm), which takes every layer"
            problem = Problem(where=where(node), what=f"target {target} is for logic alone: {e}", fix=fix)
            (behind if isinstance(e, Unknown) else problems).append(problem)
    if problems or behind:
        raise CompileError.of(problems or behind[:1])
    netlist, sums, outputs = _outputs(model, walk, answers, target)
    inputs, start = [], 0
    for outer, value in zip(model.graph.inputs, stored, strict=True):
        dims = walk.sample_shape(value)
        name, bits, limits = str(outer.name), math.prod(dims), thresholds(outer)
        inputs.append(Input(name=name, bits=bits, start=start, shape=dims, thresholds=limits))
        start += bits
    return Design(netlist=netlist, sums=sums, inputs=tuple(inputs), outputs=tuple(outputs), batch=walk.batch)


def _outputs(
    model: ir.Model, walk: Walk, answers: list[ir.Value], target: str
) -> tuple[Netlist, GroupSum | None, list[Output]]:
    """The netlist, the sums, and what the model's outputs are of them."""
    outputs, counted, shown = [], walk.counted(), 0
    for outer, value in zip(model.graph.outputs, answers, strict=True):
        try:
            kind, start, size = walk.output(value)
        except Unfit as e:
            fix = "compile the model for a processor (--target llvm)"
            raise CompileError(str(outer.name), f"target {target}: {e}", fix) from e
        if kind == "bits":
            start, shown = counted + shown, shown + size
        tau, beta = scores(outer)
        dims = walk.sample_shape(value) if kind != "class" else ()
        outputs.append(Output(name=str(outer.name), kind=kind, start=start, size=size, shape=dims, tau=tau, beta=beta))
    return walk.netlist(), walk.sums(), outputs
