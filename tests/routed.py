# mypy: disable-error-code="misc, override"
"""Nets with routes, and how near their programs are to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import edgegate
from edgegate import replay


class Net(nn.Module):
    """A module whose ``forward`` is its own."""


def compiled(net: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    """A session of the net's program, which has passed its self-test: llvm as the interpreter has it."""
    session = edgegate.compile(net.eval(), example).session()
    replay.verify(session)
    return session


def answers(session: Any, feed: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    """All outputs of a program."""
    found = session.run({spec.name: t.numpy() for spec, t in zip(session.inputs, feed, strict=True)})
    return [found[spec.name] for spec in session.outputs]


def decibels(session: Any, net: nn.Module, feeds: list[tuple[torch.Tensor, ...]]) -> float:
    """Signal to noise of the first output."""
    signal = noise = 0.0
    for feed in feeds:
        with torch.no_grad():
            wanted = net.eval()(*feed).numpy().astype(np.float64)
        signal += float(np.square(wanted).sum())
        noise += float(np.square(answers(session, feed)[0] - wanted).sum())
    return 10 * float(np.log10(signal / max(noise, 1e-30)))
