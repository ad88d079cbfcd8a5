"""How a matrix with blocks of zeros falls apart into smaller ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array

BLOCKS = (128, 64, 32, 16, 8)
"""Sizes of blocks that are looked for."""
MOST_COLUMNS = 256
"""More columns of blocks than this are not looked at: merging them takes the cube of their number."""
PART = 1 << 13
"""Products that a part of its own must save: gathering its inputs and calling its kernel take as long."""
WORTH = 0.75
"""Share of the products that may be left."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Columns that read the same rows; all other weights of theirs are zeros.

    Attributes:
        rows: int64, rising.
        columns: int64, rising.
    """

    rows: Array
    columns: Array


def parts(weight: Array, times: int) -> list[Part]:
    """The cheapest way found to compute a product with ``weight`` in parts; empty if the whole is as cheap.

    Args:
        weight: [K, N].
        times: Vectors that it is multiplied with.
    """
    best, found = WORTH * weight.size * times, list[Part]()
    for size in BLOCKS:
        if size > max(weight.shape) // 2:
            continue
        made = _parts(weight, size, times)
        cost = _cost(made, times)
        if made and cost < best:
            best, found = cost, made
    return found


def _cost(made: list[Part], times: int) -> int:
    return sum(times * len(part.rows) * len(part.columns) + PART for part in made)


def _parts(weight: Array, size: int, times: int) -> list[Part]:
    """Columns of blocks with the same rows of blocks together, and near ones too where that costs less than a part."""
    held = _blocks_held(weight, size)
    if held.shape[1] > MOST_COLUMNS or held.mean() > WORTH:
        return []
    patterns, place = np.unique(held, axis=1, return_inverse=True)
    rows = _merged(patterns.T, np.bincount(place.reshape(-1)), times * size * size)
    made = []
    for pattern, members in rows:
        columns = np.flatnonzero(np.isin(place.reshape(-1), members).repeat(size)[: weight.shape[1]])
        inputs = np.flatnonzero(pattern.repeat(size)[: weight.shape[0]])
        made.append(Part(rows=inputs if len(inputs) else np.arange(1), columns=columns))
    return sorted(made, key=lambda part: int(part.columns[0]))


def _blocks_held(weight: Array, size: int) -> Array:
    """Bools [ceil(K / size), ceil(N / size)]: which blocks are not all zero."""
    pads = [(0, -d % size) for d in weight.shape]
    padded = np.pad(weight != 0, pads)
    tall, wide = (d // size for d in padded.shape)
    return np.asarray(padded.reshape(tall, size, wide, size).any((1, 3)))


def _merged(patterns: Array, counts: Array, block: int) -> list[tuple[Array, list[int]]]:
    """(rows of blocks, patterns that are part of it), merged two by two while that saves more than it adds.

    Args:
        patterns: Bools [P, rows of blocks], all different.
        counts: Columns of blocks of each.
        block: Products of one block.
    """
    groups = [(pattern, int(count), [i]) for i, (pattern, count) in enumerate(zip(patterns, counts, strict=True))]
    while len(groups) > 1:
        rows = np.array([pattern for pattern, _, _ in groups])
        width = np.array([count for _, count, _ in groups])
        depth = rows.sum(1)
        both = depth[:, None] + depth - rows.astype(np.int64) @ rows.T
        extra = (both - depth[:, None]) * width[:, None] + (both - depth) * width
        np.fill_diagonal(extra, np.iinfo(np.int64).max // block)
        i, j = np.unravel_index(int(extra.argmin()), extra.shape)
        if extra[i, j] * block >= PART:
            break
        first, second = groups[i], groups[j]
        one = (first[0] | second[0], first[1] + second[1], first[2] + second[2])
        groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [one]
    return [(pattern, members) for pattern, _, members in groups]
