# mypy: disable-error-code="misc"
"""Bare recurrences of a matrix state: how near integers come to a float state that reads the same bytes.

Print the table: ``python -m tests.recurrent.ceilings`` (two minutes).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import edgegate
from edgegate.artifact import Artifact
from edgegate.graph import Array
from edgegate.storage import Storage

SIZE = 32
DECAYS = (0.9, 0.99, 0.999, 0.9999)


class Rule(nn.Module):
    """One step with a constant decay."""

    def __init__(self, step: Callable[..., Any], decay: float) -> None:
        super().__init__()
        self.rule, self.decay = step, decay

    def forward(self, q, k, v, state):
        return self.rule(self.decay, q[:, :, None], k[:, :, None], v, state)


class Given(nn.Module):
    """One step; its decay, [1, 1], is an input."""

    def __init__(self, step: Callable[..., Any]) -> None:
        super().__init__()
        self.rule = step

    def forward(self, q, k, v, decay, state):
        return self.rule(decay[:, :, None], q[:, :, None], k[:, :, None], v, state)


def linear(decay, q, k, v, state):
    """S' = a S + k v^T, y = S'^T q: gated linear attention."""
    state = state * decay + k * v[:, None]
    return (state * q).sum(1), state


def delta(decay, q, k, v, state):
    """S' = a S, S'' = S' + b k (v - S'^T k)^T, y = S''^T q: the gated delta rule with b = 1/2, keys of length one."""
    state = state * decay
    error = v - (state * k).sum(1)
    state = state + k * error[:, None] * 0.5
    return (state * q).sum(1), state


RULES = {"linear": linear, "delta": delta}


@dataclass(frozen=True, kw_only=True)
class Result:
    """In dB, of all outputs: against a float state that reads what was meant.

    Attributes:
        found: The integer program.
        ceiling: A float state that reads the bytes that the program reads.
        state: What the program stores the state in.
    """

    found: float
    ceiling: float
    state: str


def inputs(seed: int, steps: int, decay: float | None = None) -> dict[str, Array]:
    """Queries and keys of length one, values N(0, 1); decays whose logarithms are even about that of ``decay``."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.standard_normal((3, steps, 1, SIZE), np.float32)
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k)]
    decays = {} if decay is None else {"decay": np.float32(decay ** rng.uniform(0.5, 1.5, (steps, 1, 1)))}
    return {"q": unit[0], "k": unit[1], "v": v, **decays}


def measured(rule: str, decay: float, steps: int, *, given: bool = False) -> Result:
    """Compile a rule for bytes, and run it beside float; given: the decay is an input."""
    net, row = Given(RULES[rule]) if given else Rule(RULES[rule], decay), torch.zeros(1, SIZE)
    example = (row, row, row, *[torch.zeros(1, 1)] * given, torch.zeros(1, SIZE, SIZE))
    settled = min(max(512, round(3 / (1 - decay))), 4096)
    calib, fed = (inputs(seed, count, decay if given else None) for seed, count in ((1, settled), (2, steps)))
    artifact = edgegate.compile(net, example, state={"state": 1}, calib=calib, activation_bits=8)
    wanted, y = floating(net, fed), artifact.session(threads=1).steps(**fed)
    return Result(
        found=ratio(wanted, y), ceiling=ratio(wanted, floating(net, as_stored(artifact, fed))),
        state=artifact.manifest.inputs[-1].stored_dtype,
    )  # fmt: skip


def as_stored(artifact: Artifact, fed: dict[str, Array]) -> dict[str, Array]:
    """What the program takes the inputs for: rows are bytes."""
    found = {}
    for spec in artifact.manifest.inputs:
        if spec.name in fed:
            how = spec.storage
            assert isinstance(how, Storage) and how.dtype == ("int8" if spec.shape == (1, SIZE) else "int16")
            ends = (-128, 127) if how.dtype == "int8" else (-32768, 32767)
            stored = np.clip(np.rint(fed[spec.name] / how.scale) + how.zero_point, *ends)
            found[spec.name] = (stored - how.zero_point) * how.scale
    return found


def floating(net: nn.Module, fed: dict[str, Array]) -> Array:
    """All outputs in float64."""
    state, rows = torch.zeros(1, SIZE, SIZE, dtype=torch.float64), []
    with torch.no_grad():
        for row in zip(*(torch.tensor(x, dtype=torch.float64) for x in fed.values()), strict=True):
            y, state = net(*row, state)
            rows.append(y.numpy())
    return np.stack(rows)


def ratio(wanted: Array, y: Array) -> float:
    """Signal to noise in dB."""
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)))


if __name__ == "__main__":
    for rule, decay, given in itertools.product(RULES, DECAYS, (False, True)):
        result = measured(rule, decay, 4096, given=given)
        how = f"{rule:7} {'about' if given else '     '} {decay:<7}"
        print(f"{how} {result.found:5.1f} dB, ceiling {result.ceiling:5.1f} dB, {result.state}")
