"""Language models of integers beside float, token by token: ``python -m tests.recurrent.decoding`` (a minute)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import edgegate
from edgegate.graph import Array
from tests.recurrent.decoders import Decoder, delta_like, lfm2_like

MODELS: dict[str, Callable[[], Decoder]] = {"lfm2_like": lfm2_like, "delta_like": delta_like}
WORDS = 128


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """How far integers follow a float model that is fed with tokens drawn from its own logits.

    Attributes:
        agreement: Share of the steps in which both find the same next token most likely.
        sqnr: Of the logits, in dB.
        storages: Of the states.
    """

    agreement: float
    sqnr: float
    storages: list[str]


def decoded(name: str, steps: int, *, greedy: bool = False) -> Decoded:
    """Decode with both; greedy: the likeliest token is the next, in place of one drawn."""
    net = MODELS[name]()
    states = [torch.zeros(dims) for dims in net.states()]
    places = {i + 1: i + 1 for i in range(len(states))}
    calib = {"": np.random.default_rng(0).integers(0, WORDS, (256, 1))}
    example = (torch.zeros(1, dtype=torch.int64), *states)
    artifact = edgegate.compile(net, example, state=places, calib=calib)
    session, rng = artifact.session(threads=1), np.random.default_rng(1)
    token, wanted, found = 1, [], []
    with torch.no_grad():
        for _ in range(steps):
            logits, *states = net(torch.tensor([token]), *states)
            wanted.append(logits[0].double().numpy())
            found.append(session.step(np.array([token]))[0])
            token = int(wanted[-1].argmax()) if greedy else int(rng.choice(WORDS, p=_softmax(wanted[-1])))
    same = np.mean([a.argmax() == b.argmax() for a, b in zip(wanted, found, strict=True)])
    noise = np.sum(np.square(np.subtract(wanted, found)))
    held = dict(artifact.manifest.states)
    return Decoded(
        agreement=float(same), sqnr=float(10 * np.log10(np.sum(np.square(wanted)) / noise)),
        storages=[spec.stored_dtype for spec in artifact.manifest.inputs if spec.name in held],
    )  # fmt: skip


def _softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max())
    return np.asarray(e / e.sum())


if __name__ == "__main__":
    for name in MODELS:
        for greedy in (False, True):
            made = decoded(name, 1000, greedy=greedy)
            how = "greedy" if greedy else "drawn"
            print(f"{name:11} {how:7} {made.agreement:6.1%} of 1,000 tokens, {made.sqnr:.1f} dB, {made.storages}")
