"""Data over time, for models that are a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgegate.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


def over_time(data: Array, dims: Sequence[int], name: str) -> Array:
    """The data of an input, step by step.

    Args:
        data: One of

            - [T, *dims]: a sequence of T inputs,
            - [T, *dims[1:]] where the batch ``dims[0]`` is 1: the same,
            - [S, T, *dims[1:]]: S sequences, a multiple of the batch, of T inputs each.
        dims: Shape of the input in one step.
        name: Of the input, for messages.

    Returns:
        [G, T, *dims]: G runs of T steps each.

    Raises:
        InputError: The data has another shape, or holds no step.
    """
    dims = tuple(dims)
    if data.ndim and data.shape[1:] == dims:
        made = data[None]
    elif dims[:1] == (1,) and data.ndim and data.shape[1:] == dims[1:]:
        made = data[None, :, None]
    elif dims and data.ndim > 1 and data.shape[2:] == dims[1:] and len(data) % dims[0] == 0:
        made = np.swapaxes(data.reshape(-1, *dims[:1], *data.shape[1:]), 1, 2)
    else:
        inner = ", ".join(map(str, dims[1:]))
        wanted = f"[T, {', '.join(map(str, dims))}] or [S, T{', ' if inner else ''}{inner}]"
        raise InputError(f"input {name!r}: expected steps of {list(dims)}, {wanted}, got {list(data.shape)}")
    if 0 in made.shape:
        raise InputError(f"input {name!r}: no step in data of shape {list(data.shape)}")
    return made


def timed(data: Mapping[str, Array], dims: Mapping[str, Sequence[int]]) -> tuple[dict[str, Array], int, int]:
    """The inputs by name, each as :func:`over_time` gives it; how many runs, and how many steps.

    Arguments and errors are those of :func:`runs`.
    """
    if set(data) != set(dims):
        raise InputError(f"expected data of {', '.join(dims)}, got {', '.join(data) or 'none'}")
    found = {name: over_time(array, dims[name], name) for name, array in data.items()}
    lengths = {array.shape[:2] for array in found.values()}
    if len(lengths) > 1:
        raise InputError(f"the inputs differ in sequences and steps: {sorted(lengths)}")
    ((count, steps),) = lengths or {(0, 0)}
    return found, count, steps


def runs(data: Mapping[str, Array], dims: Mapping[str, Sequence[int]]) -> Iterator[Iterator[dict[str, Array]]]:
    """The inputs by name, step by step, of one run after the other.

    Args:
        data: By input name, as for :func:`over_time`.
        dims: Shape of each of these inputs in one step.

    Raises:
        InputError: Inputs are missing or of the wrong shape, or differ in runs or steps.
    """
    found, count, steps = timed(data, dims)
    for run in range(count):
        yield ({name: array[run, step] for name, array in found.items()} for step in range(steps))
