"""Which inputs each gate reads: chosen once, at random, and never trained."""

from __future__ import annotations

import torch
from torch import Tensor

MAXIMUM_PAIRS = 1 << 22
"""Up to so many pairs of inputs, all of them may be listed."""


def connections(inputs: int, gates: int, how: str | Tensor, generator: torch.Generator | None) -> Tensor:
    """The inputs of each gate, int64 [gates, 2].

    Args:
        inputs: How many there are.
        gates: How many gates.
        how: "random": every input is read equally often, up to one; "unique": no two gates read the same pair, and no
            gate the same input twice; or the wiring itself, int64 [gates, 2].
        generator: Where randomness comes from; torch's own if None.

    Raises:
        ValueError: Another word, a wiring of another shape or out of range, or more gates than pairs.
    """
    if isinstance(how, Tensor):
        fits = how.dtype == torch.int64 and list(how.shape) == [gates, 2]
        if not fits or not 0 <= int(how.min()) <= int(how.max()) < inputs:
            found = f"{how.dtype} {list(how.shape)}"
            raise ValueError(f"connections must be int64 [{gates}, 2] in [0, {inputs}), got {found}")
        return how.detach().clone()
    if inputs < 2 or gates < 1:
        raise ValueError(f"{gates} gates cannot be wired to {inputs} inputs")
    if how == "random":
        return evenly(inputs, 2 * gates, generator).reshape(2, gates).t().contiguous()
    if how == "unique":
        return _unique(inputs, gates, generator)
    raise ValueError(f"connections must be random, unique or a tensor, got {how!r}")


def evenly(inputs: int, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` inputs in random order, each as often as any other, up to one: int64 [count]."""
    rounds = [torch.randperm(inputs, generator=generator) for _ in range(-(-count // inputs))]
    drawn = torch.cat(rounds)[:count]
    return drawn[torch.randperm(count, generator=generator)]


def _unique(inputs: int, gates: int, generator: torch.Generator | None) -> Tensor:
    pairs = inputs * (inputs - 1) // 2
    if gates > pairs:
        raise ValueError(f"{inputs} inputs make {pairs} pairs, too few for {gates} gates; use connections='random'")
    if pairs <= MAXIMUM_PAIRS and 2 * gates > pairs:
        chosen = torch.randperm(pairs, generator=generator)[:gates]
        return _flipped(torch.triu_indices(inputs, inputs, 1).t()[chosen], generator)
    found = torch.empty(0, 2, dtype=torch.int64)
    while len(found) < gates:
        halves = torch.randperm(inputs, generator=generator)[: inputs // 2 * 2].reshape(-1, 2)
        found = _first_of_each(torch.cat([found, halves.sort(1).values]))
    return _flipped(found[:gates], generator)


def _first_of_each(pairs: Tensor) -> Tensor:
    """The different rows of ``pairs`` where they first come, in that order."""
    _, kind = torch.unique(pairs, dim=0, return_inverse=True)
    first = torch.full((int(kind.max()) + 1,), len(pairs)).scatter_reduce_(0, kind, torch.arange(len(pairs)), "amin")
    return pairs[first.sort().values]


def _flipped(pairs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Either input first, at random: gate A would otherwise always pass the one of the lower number."""
    turned = torch.randint(0, 2, (len(pairs), 1), generator=generator).bool()
    return torch.where(turned, pairs.flip(1), pairs)
