"""Proof that an optimised netlist computes what the imported one does, for every input there is.

Nothing of the optimiser is believed. Its claims say which literals to compare; both netlists become AND gates table by
table, equal structure is found anew, and the rest is shown by truth tables over cuts and by SAT. A counterexample is
checked by :func:`edgegate.logic.evaluate` before it is told.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from edgegate.errors import MismatchError
from edgegate.logic._cones import SOLVER, Cut, solver, window
from edgegate.logic._sweep import PATTERNS, Miter, Sweep
from edgegate.logic.aig import to_aig
from edgegate.logic.evaluate import evaluate
from edgegate.logic.netlist import Array, GroupSum, Netlist


class NotEqualError(MismatchError):
    """Two netlists differ.

    Attributes:
        bits: uint8 [inputs]: an input for which they do.
        output: The output that differs then.
    """

    def __init__(self, message: str, bits: Array, output: int) -> None:
        super().__init__(message)
        self.bits, self.output = bits, output


class NotProvedError(MismatchError):
    """Neither a proof nor a counterexample was found within the limit: nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What was shown.

    Attributes:
        method: How, for a report.
        seconds: Time on the clock.
        outputs: Number of outputs that are equal for every input.
    """

    method: str
    seconds: float
    outputs: int


def prove(imported: Netlist, optimised: Netlist, claims: Array, *, limit_s: float | None = None) -> Proved:
    """Show that every output of ``imported`` is the literal of ``optimised`` that ``claims`` says.

    Args:
        imported: What the user gave.
        optimised: What was made of it; its own outputs play no part.
        claims: int32 [O], a literal of ``optimised`` for each output of ``imported``.
        limit_s: Seconds to give up after; None is never.

    Raises:
        NotEqualError: They differ; with an input that shows it.
        NotProvedError: ``limit_s`` was reached.
        ToolchainError: No SAT solver is installed.
        ValueError: The netlists have not as many inputs, or a claim is no literal of ``optimised``.
    """
    begun = time.monotonic()
    solver()
    if imported.inputs != optimised.inputs or len(claims) != len(imported.outputs):
        shapes = f"{optimised.inputs} inputs and {len(claims)} claims"
        raise ValueError(f"expected {imported.inputs} inputs and {len(imported.outputs)} claims, got {shapes}")
    claimed = replace(optimised, outputs=np.asarray(claims))
    deadline = None if limit_s is None else begun + limit_s
    miter = Miter(imported.inputs)
    _, ands, outputs = to_aig(imported)
    wanted = miter.add(ands, outputs.tolist())
    first = len(miter.graph.left)
    _, ands, outputs = to_aig(claimed)
    found = miter.add(ands, outputs.tolist())
    values = _simulated(miter, wanted, found, imported, claimed)
    sweep = Sweep(miter, first, values, deadline)
    del values
    sweep.run(found)
    _compare(sweep, wanted, found, imported, claimed)
    method = f"SAT sweeping ({SOLVER} of python-sat, cuts of up to 10 nodes by truth table)"
    return Proved(method=method, seconds=time.monotonic() - begun, outputs=len(claims))


def _simulated(miter: Miter, wanted: list[int], found: list[int], imported: Netlist, claimed: Netlist) -> list[int]:
    """The values of all nodes for random patterns, which may already show that two outputs differ."""
    patterns, every = miter.patterns(), (1 << PATTERNS) - 1
    values = miter.simulate(patterns, every)
    for a, b in {*zip(wanted, found, strict=True)}:
        if differ := values[a >> 1] ^ values[b >> 1] ^ (every if (a ^ b) & 1 else 0):
            at = (differ & -differ).bit_length() - 1
            below = window(miter.graph, (a >> 1, b >> 1), len(values)).leaves  # other inputs do not matter
            raise _different(imported, claimed, {node: bool(patterns[node - 1] >> at & 1) for node in below})
    return values


def _compare(sweep: Sweep, wanted: list[int], found: list[int], imported: Netlist, claimed: Netlist) -> None:
    """Every pair of outputs, after all within was merged."""
    pairs = {(a, sweep.literal(b)): i for i, (a, b) in enumerate(zip(wanted, found, strict=True))}
    left = [(a, b, i) for (a, b), i in pairs.items() if a != b]
    unknown = []
    for a, b, i in left:
        answer = sweep.compare(a, b)
        if answer.cut is not None:
            raise _different(imported, claimed, answer.cut)
        if not answer.equal:
            unknown.append(i)
    if unknown:
        text = f"output {min(unknown)} and {len(unknown) - 1} others of {len(wanted)}"
        raise NotProvedError(
            f"not proved within the limit: {text} are neither shown equal nor different; allow more time"
        )


def _different(imported: Netlist, claimed: Netlist, cut: Cut) -> NotEqualError:
    """The error for an input, once :func:`evaluate` agrees that outputs differ."""
    bits = np.zeros(imported.inputs, np.uint8)
    for node, value in cut.items():
        bits[node - 1] = value
    one, other = evaluate(imported, bits[None])[0], evaluate(claimed, bits[None])[0]
    if (one == other).all():
        raise RuntimeError("the proof found a counterexample that is none: a bug of EdgeGate")
    at = int(np.argmax(one != other))
    ones = np.flatnonzero(bits)
    shown = ", ".join(map(str, ones[:16])) + (f" and {len(ones) - 16} more" if len(ones) > 16 else "")
    text = f"output {at} is {one[at]} as imported and {other[at]} as optimised"
    return NotEqualError(f"{text} where inputs {shown or 'none'} are 1 and all others 0", bits, at)


def prove_sums(imported: GroupSum, optimised: GroupSum, claims: Array, outputs: Array) -> None:
    """Show that two weighted sums are the same polynomial of an optimised netlist's nodes.

    Together with :func:`prove` for the claims, the sums are equal for every input. A literal that is inverted
    counts 1 minus its node, literals 0 and 1 count as constants; weights of one node add up. No SAT is needed.

    Args:
        imported: Sums of the imported netlist's outputs.
        optimised: Sums of the optimised netlist's outputs.
        claims: int32, for each output of the imported netlist the literal of the optimised one that it equals.
        outputs: int32, the outputs of the optimised netlist.

    Raises:
        MismatchError: A sum counts a node differently, or has another offset.
        ValueError: There are not as many bits as sums of them need.
    """
    if imported.bits != len(claims) or optimised.bits != len(outputs):
        raise ValueError(
            f"{len(claims)} claims and {len(outputs)} outputs for {imported.bits} and {optimised.bits} bits"
        )
    if imported.groups != optimised.groups:
        raise MismatchError(f"{imported.groups} sums were imported, there are {optimised.groups} after optimisation")
    keys, weights, offset = _polynomial(imported, claims)
    others, other_weights, other_offset = _polynomial(optimised, outputs)
    if (offset != other_offset).any():
        k = int(np.argmax(offset != other_offset))
        raise MismatchError(f"sum {k} begins at {offset[k]} as imported and at {other_offset[k]} as optimised")
    every, place = np.unique(np.concatenate([keys, others]), return_inverse=True)
    balance = np.zeros(len(every), np.int64)
    np.add.at(balance, place, np.concatenate([weights, -other_weights]))
    if balance.any():
        k, node = divmod(int(every[np.argmax(balance != 0)]), 1 << 31)
        by = int(balance[np.argmax(balance != 0)])
        raise MismatchError(f"sum {k} counts node {node} by {by} more as imported than as optimised")


def _polynomial(sums: GroupSum, literals: Array) -> tuple[Array, Array, Array]:
    """Keys sum * 2**31 + node, their weights, and the offsets: int64, exact."""
    literal, weight = literals.astype(np.int64)[sums.member], sums.weight.astype(np.int64)
    inverted = literal & 1 == 1
    offset = sums.offset.astype(np.int64)
    np.add.at(offset, sums.group[inverted], weight[inverted])
    free = literal > 1
    keys = (sums.group.astype(np.int64) << 31) + (literal >> 1)
    return keys[free], np.where(inverted, -weight, weight)[free], offset
