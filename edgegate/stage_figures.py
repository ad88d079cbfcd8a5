"""What the gates of an artifact of stages do on data: who is stopped, what crosses, and what it saves.

Expected cost at prevalence p, from what was measured on positives and on negatives:

    cost(p) = sum over stages of  P(stage | p) * MACs * energy of a MAC  +  E[bytes into it | p] * energy of a byte
    P(stage | p) = p * P(stage | positive) + (1 - p) * P(stage | negative)

The energies are figures of arithmetic and of memory traffic alone, given by the user. By default those of Horowitz,
Computing's Energy Problem (ISSCC 2014, 45 nm): 0.2 pJ for an 8-bit product and 0.1 pJ for a 32-bit sum; 1.3 nJ for 8
bytes through DRAM, the least of the range that is told there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edgegate._npz import Array
from edgegate.errors import InputError
from edgegate.manifest import IOSpec
from edgegate.runtime import Session
from edgegate.stage_plan import Plan, holds, plan_of, stages_of

PREVALENCES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
MAC_PJ, BYTE_PJ = 0.3, 162.5
"""Picojoules of a MAC and of a byte that crosses."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What happened to each of N samples.

    Attributes:
        ran: bool [stages, N]: whether a stage ran.
        stopped: bool [cuts, N]: whether a cut stopped the sample.
        dense: int64 [stages, N]: bytes that came into a stage, every value sent.
        packed: int64 [stages, N]: the same in the payload that the artifact chose.
        outputs: What the artifact gave, by name.
    """

    ran: Array
    stopped: Array
    dense: Array
    packed: Array
    outputs: Mapping[str, Array]

    @property
    def samples(self) -> int:
        """How many."""
        return int(self.ran.shape[1])

    @property
    def passed(self) -> Array:
        """Which samples no cut stopped, bool [N]."""
        return np.asarray(~self.stopped.any(0))


def sizes(plan: Plan, stages: Sequence[Sequence[IOSpec]], fixed: set[str]) -> list[int]:
    """Dense bytes a sample into each stage.

    Args:
        plan: The stages.
        stages: What each stage takes, in order.
        fixed: Inputs that are the same for all samples: thresholds, which a stage keeps.
    """
    found = [0]
    for reads, specs in list(zip(plan.crossing(), stages, strict=True))[1:]:
        kept = [spec for name, spec in zip(reads, specs, strict=True) if name not in fixed]
        found.append(sum(prod(s.stored_shape) * np.dtype(s.stored_dtype).itemsize for s in kept) // plan.batch)
    return found


def flow(session: Session, feed: Mapping[str, Any]) -> Flow:
    """Run samples through the stages, call by call, and keep account.

    Args:
        session: Of an artifact of stages.
        feed: Inputs by name, samples first.

    Raises:
        InputError: As :meth:`edgegate.runtime.Session.run`, or inputs are not in samples.
    """
    plan, fixed = plan_of(session.artifact), set(session.thresholds)
    dense = sizes(plan, [stage.manifest.inputs for stage in stages_of(session.artifact)], fixed)
    arrays = {name: np.asarray(array) for name, array in feed.items()}
    counts = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1:
        raise InputError(f"the inputs differ in their number of samples: {sorted(counts)}")
    parts, outputs = [], []
    for start in range(0, counts.pop(), plan.batch):
        part = {name: array[start : start + plan.batch] for name, array in arrays.items()}
        outputs.append(session.run(part))
        parts.append(_call(plan, session.between, dense, len(next(iter(part.values())))))
    if not parts:
        raise InputError("there are no samples")
    ran, stopped, full, packed = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
    joined = {name: np.concatenate([made[name] for made in outputs]) for name in outputs[0]}
    return Flow(ran=ran, stopped=stopped, dense=full, packed=packed, outputs=joined)


def _call(plan: Plan, values: Mapping[str, Array], dense: Sequence[int], used: int) -> tuple[Array, ...]:
    """The rows of a :class:`Flow` for the samples of one call."""
    ran = np.stack([holds(program.when, values, plan.batch) for program in plan.programs])[:, :used]
    stopped, going = [], np.ones(used, np.bool_)
    for name in plan.cuts:
        bit = values[name].reshape(-1)[:used]
        stopped.append(going & ~bit)
        going &= bit
    packed = np.zeros(ran.shape, np.int64)
    for stage, program in enumerate(plan.programs[1:], 1):
        for sample in np.flatnonzero(ran[stage]):
            packed[stage, sample] = sum(_packed(plan, program, values, int(sample)))
    full = ran * np.array(dense, np.int64)[:, None]
    return ran, np.array(stopped, np.bool_).reshape(len(plan.cuts), used), full, packed


def _packed(plan: Plan, program: Any, values: Mapping[str, Array], sample: int) -> Iterator[int]:
    for name, payload in zip(program.reads, program.payloads, strict=True):
        if payload is not None:
            yield len(payload.pack(plan.of_sample(values[name], sample)))


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Energies in picojoules.

    Attributes:
        mac: Of a MAC in each stage.
        byte: Of a byte into each stage behind the first.

    Raises:
        InputError: A number is negative or no number.
    """

    mac: tuple[float, ...]
    byte: tuple[float, ...]

    @classmethod
    def of(cls, stages: int, mac: Sequence[float] | None, byte: Sequence[float] | None) -> Costs:
        """One number for all stages, or one for each; None: :data:`MAC_PJ` and :data:`BYTE_PJ`."""
        return cls(
            mac=_spread(mac or (MAC_PJ,), stages, "MAC, one for each stage"),
            byte=_spread(byte or (BYTE_PJ,), stages - 1, "byte, one for each stage behind the first"),
        )


def _spread(given: Sequence[float], count: int, what: str) -> tuple[float, ...]:
    found = tuple(map(float, given)) * (count if len(given) == 1 else 1)
    if len(found) != count or not all(np.isfinite(e) and e >= 0 for e in found):
        raise InputError(f"energies must be picojoules of a {what} (or one for all), got {list(given)}")
    return found


def figures(plan: Plan, found: Flow, positive: Array, costs: Costs) -> dict[str, Any]:
    """What the gates do to positives and negatives, and what is expected at each prevalence: plain JSON values."""
    macs = np.array([program.macs for program in plan.programs], np.float64)
    whole = float(macs.sum() * costs.mac[-1])
    rates, sent = [], []
    for chosen in (positive, ~positive):
        rates.append(found.ran[:, chosen].mean(1))
        sent.append(found.packed[:, chosen].mean(1))
    rows = []
    for p in PREVALENCES:
        ran, crossed = (p * pair[0] + (1 - p) * pair[1] for pair in (rates, sent))
        energy = float((ran * macs) @ np.array(costs.mac) + crossed[1:] @ np.array(costs.byte))
        rows.append({
            "prevalence": p, "macs": float(ran @ macs), "bytes": float(crossed[1:].sum()), "energy_pj": energy,
            "saving": whole / energy if energy else None,
        })  # fmt: skip
    return {
        **shares(plan, found, positive), "energy_pj": {"mac": list(costs.mac), "byte": list(costs.byte)},
        "whole": {"macs": float(macs.sum()), "energy_pj": whole}, "expected": rows,
    }  # fmt: skip


def shares(plan: Plan, found: Flow, positive: Array) -> dict[str, Any]:
    """Early stops of negatives, false stops of positives, and the bytes into each stage that runs."""
    cuts = [
        {"gate": name, "negatives": _share(row[~positive]), "positives": _share(row[positive])}
        for name, row in zip(plan.cuts, found.stopped, strict=True)
    ]
    stages = []
    for program, ran, dense, packed in zip(plan.programs, found.ran, found.dense, found.packed, strict=True):
        mean = [float(row[ran].mean()) if ran.any() else None for row in (dense, packed)]
        stages.append({
            "file": program.file, "macs": program.macs, "ran": int(ran.sum()), "dense_bytes": mean[0],
            "packed_bytes": mean[1],
        })  # fmt: skip
    stopped = ~found.passed
    return {
        "samples": found.samples, "positives": int(positive.sum()), "early_stops": _share(stopped[~positive]),
        "false_stops": _share(stopped[positive]), "cuts": cuts, "stages": stages,
    }  # fmt: skip


def _share(bits: Array) -> float:
    return float(bits.mean()) if bits.size else 0.0
