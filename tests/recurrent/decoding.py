"""Language models of integers beside float, token by token: ``python -m tests.recurrent.decoding`` (a minute)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import edgegate
from edgegate.artifact import Artifact
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


def compiled(name: str) -> tuple[Decoder, Artifact]:
    """The float model, and its integers, calibrated on 256 random tokens."""
    net = MODELS[name]()
    states = [torch.zeros(dims) for dims in net.states()]
    places = {i + 1: i + 1 for i in range(len(states))}
    calib = {"": np.random.default_rng(0).integers(0, WORDS, (256, 1))}
    example = (torch.zeros(1, dtype=torch.int64), *states)
    return net, edgegate.compile(net, example, state=places, calib=calib)


def drawn(logits: Array, point: float) -> int:
    """The token at a point in [0, 1) of all, each as wide as it is likely."""
    e = np.exp(logits - logits.max())
    return min(int(np.searchsorted(np.cumsum(e / e.sum()), point, "right")), WORDS - 1)


def stepping(net: Decoder) -> Callable[[int], Array]:
    """The float model as a session: from a token to logits."""
    states = [torch.zeros(dims) for dims in net.states()]

    def step(token: int) -> Array:
        nonlocal states
        with torch.no_grad():
            logits, *states = net(torch.tensor([token]), *states)
        return np.asarray(logits[0].double().numpy())

    return step


def decoded(name: str, steps: int, *, greedy: bool = False) -> Decoded:
    """Decode with both, each fed with the tokens of float; greedy: the likeliest is the next, in place of one drawn."""
    net, artifact = compiled(name)
    session, step, rng = artifact.session(threads=1), stepping(net), np.random.default_rng(1)
    token, wanted, found = 1, [], []
    for _ in range(steps):
        wanted.append(step(token))
        found.append(session.step(np.array([token]))[0])
        token = int(wanted[-1].argmax()) if greedy else drawn(wanted[-1], rng.random())
    same = np.mean([a.argmax() == b.argmax() for a, b in zip(wanted, found, strict=True)])
    noise = np.sum(np.square(np.subtract(wanted, found)))
    held = dict(artifact.manifest.states)
    return Decoded(
        agreement=float(same), sqnr=float(10 * np.log10(np.sum(np.square(wanted)) / noise)),
        storages=[spec.stored_dtype for spec in artifact.manifest.inputs if spec.name in held],
    )  # fmt: skip


def alone(name: str, steps: int) -> int:
    """How many tokens both write alike, each from its own, drawn at the same points."""
    net, artifact = compiled(name)
    session, step, points = artifact.session(threads=1), stepping(net), np.random.default_rng(1).random(steps)
    token = 1
    for count, point in enumerate(points):
        wanted, found = drawn(step(token), point), drawn(session.step(np.array([token]))[0], point)
        if wanted != found:
            return count
        token = wanted
    return steps


if __name__ == "__main__":
    for name in MODELS:
        for greedy in (False, True):
            made = decoded(name, 1000, greedy=greedy)
            how = "greedy" if greedy else "drawn"
            print(f"{name:11} {how:7} {made.agreement:6.1%} of 1,000 tokens, {made.sqnr:.1f} dB, {made.storages}")
        print(f"{name:11} alone: the first {alone(name, 1000)} of 1,000 drawn tokens are alike")
