"""Which gates run side by side: those whose operands lie in different banks of shared memory.

Shared memory has 32 banks of 4 bytes. A slot of ``W`` words takes ``W`` banks side by side: which ones is its
*colour*, slot mod (32 / W). The threads that the hardware serves at a time read 32 words, one slot each of
``32 / W`` gates: a *set*. It is served at once if the colours of these slots differ (CUDA C++ Programming Guide,
shared memory of compute capability 5.x and up).
"""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array


def grouped(colours: Array, size: int, rng: np.random.Generator) -> tuple[Array, int]:
    """Gates in sets of ``size``, as many as possible without two operands of a colour in the same column.

    Args:
        colours: int [G, k]: of the operands.
        size: Gates of a set, the number of colours.
        rng: Breaks ties.

    Returns:
        int [G]: the gates in their order; every ``size`` are a set. And how many gates, from the first on, are in
        sets without a conflict.
    """
    k = colours.shape[1]
    keys = colours @ size ** np.arange(k)
    order = np.argsort(keys, kind="stable")
    kinds, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    digits = kinds[:, None] // size ** np.arange(k) % size
    pools = [order[s : s + n].tolist() for s, n in zip(starts, counts, strict=True)]
    left = counts.astype(np.float64)
    good: list[int] = []
    spare: list[int] = []
    while left.sum() >= size:
        chosen = _one_set(digits, left + rng.random(len(left)) * (left > 0) / 2, size)
        for kind in chosen:
            left[kind] -= 1
        found = [pools[kind].pop() for kind in chosen]
        (good if len(found) == size else spare).extend(found)
    spare += [gate for pool in pools for gate in pool]
    return np.array(good + _patched(colours, spare, size), np.int64), len(good)


def _one_set(digits: Array, left: Array, size: int) -> list[int]:
    """Kinds of gates, of those left, that fit together; starts with the most frequent."""
    chosen: list[int] = []
    weight = np.where(left >= 1, left, 0)
    while len(chosen) < size:
        kind = int(weight.argmax())
        if weight[kind] == 0:
            break
        chosen.append(kind)
        weight = np.where((digits == digits[kind]).any(1), 0, weight)
    return chosen


def _patched(colours: Array, spare: list[int], size: int) -> list[int]:
    """What fits nowhere without a conflict, in sets with few of them."""
    rest = list(spare)
    done: list[int] = []
    while rest:
        load = np.zeros((size, colours.shape[1]), np.int64)
        columns = np.arange(colours.shape[1])
        for _ in range(min(size, len(rest))):
            rows = colours[rest[:64]]
            after = load[rows, columns]
            pick = int((after + (after >= load.max(0)) * 8).sum(1).argmin())
            load[rows[pick], columns] += 1
            done.append(rest.pop(pick))
    return done


def waves(colours: Array, size: int) -> int:
    """How often memory is read for slots of these colours, int [G, k] in sets; at best G * k / size."""
    total = 0
    for start in range(0, len(colours), size):
        part = colours[start : start + size]
        total += sum(int(np.bincount(column).max()) for column in part.T)
    return total
