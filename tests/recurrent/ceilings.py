# mypy: disable-error-code="misc"
"""Bare recurrences of a matrix state: how near integers come to a float state that reads the same bytes.

Print the table: ``python -m tests.recurrent.ceilings`` (two minutes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import edgegate
from edgegate.artifact import Artifact
from edgegate.graph import Array
from edgegate.storage import Storage

SIZE = 32
DECAYS = (0.9, 0.99, 0.999, 0.9999)


class Linear(nn.Module):
    """S' = a S + k v^T, y = S'^T q: gated linear attention with one decay."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def forward(self, q, k, v, state):
        state = state * self.decay + k[:, :, None] * v[:, None]
        return (state * q[:, :, None]).sum(1), state


class Delta(nn.Module):
    """S' = a S, S'' = S' + b k (v - S'^T k)^T, y = S''^T q: the gated delta rule with b = 1/2, keys of length one."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def forward(self, q, k, v, state):
        state = state * self.decay
        error = v - (state * k[:, :, None]).sum(1)
        state = state + k[:, :, None] * error[:, None] * 0.5
        return (state * q[:, :, None]).sum(1), state


RULES = {"linear": Linear, "delta": Delta}


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


def inputs(seed: int, steps: int) -> dict[str, Array]:
    """Queries and keys of length one, values N(0, 1)."""
    q, k, v = np.random.default_rng(seed).standard_normal((3, steps, 1, SIZE), np.float32)
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k)]
    return {"q": unit[0], "k": unit[1], "v": v}


def measured(rule: str, decay: float, steps: int) -> Result:
    """Compile a rule for bytes, and run it beside float."""
    net, row = RULES[rule](decay), torch.zeros(1, SIZE)
    example = (row, row, row, torch.zeros(1, SIZE, SIZE))
    settled = min(max(512, round(3 / (1 - decay))), 4096)
    artifact = edgegate.compile(net, example, state={"state": 1}, calib=inputs(1, settled), activation_bits=8)
    fed = inputs(2, steps)
    wanted = floating(net, fed)
    y = artifact.session(threads=1).steps(**fed)
    state = next(spec for spec in artifact.manifest.inputs if spec.name == "state")
    return Result(
        found=ratio(wanted, y), ceiling=ratio(wanted, floating(net, as_stored(artifact, fed))), state=state.stored_dtype
    )


def as_stored(artifact: Artifact, fed: dict[str, Array]) -> dict[str, Array]:
    """What the program takes the inputs for."""
    found = {}
    for spec in artifact.manifest.inputs:
        if spec.name in fed:
            how = spec.storage
            assert isinstance(how, Storage) and how.dtype == "int8"
            stored = np.clip(np.rint(fed[spec.name] / how.scale) + how.zero_point, -128, 127)
            found[spec.name] = (stored - how.zero_point) * how.scale
    return found


def floating(net: nn.Module, fed: dict[str, Array]) -> Array:
    """All outputs in float64."""
    state, rows = torch.zeros(1, SIZE, SIZE, dtype=torch.float64), []
    with torch.no_grad():
        for q, k, v in zip(*(torch.tensor(fed[name], dtype=torch.float64) for name in ("q", "k", "v")), strict=True):
            y, state = net(q, k, v, state)
            rows.append(y.numpy())
    return np.stack(rows)


def ratio(wanted: Array, y: Array) -> float:
    """Signal to noise in dB."""
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)))


if __name__ == "__main__":
    for rule in RULES:
        for decay in DECAYS:
            result = measured(rule, decay, 4096)
            print(f"{rule:7} {decay:<7} {result.found:5.1f} dB, ceiling {result.ceiling:5.1f} dB, {result.state}")
