"""Which gates run side by side: those whose operands lie in different banks of shared memory.

Shared memory has 32 banks of 4 bytes. A slot of ``W`` words takes ``W`` banks side by side: which ones is its
*colour*, slot mod (32 / W). The threads that the hardware serves at a time read 32 words, one slot each of
``32 / W`` gates: a *set*. It is served at once if the colours of these slots differ (CUDA C++ Programming Guide,
shared memory of compute capability 5.x and up).
"""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array

TRIES = 6
"""Searches for a set without a conflict before one with conflicts is taken."""


def grouped(colours: Array, size: int, rng: np.random.Generator, orders: Array | None = None) -> tuple[Array, Array]:
    """Gates in sets of ``size``, as many as possible without two operands of a colour in the same column.

    Args:
        colours: int [G, k]: of the operands.
        size: Gates of a set, the number of colours.
        rng: Breaks ties.
        orders: int [n, k]: the orders of the columns that are as good as the given one, which is the first of them;
            None: there is no other.

    Returns:
        int [G]: the gates in their order; every ``size`` are a set. And int [G, k]: the order of each gate's columns.
        Sets without a conflict come first.
    """
    k = colours.shape[1]
    orders = np.arange(k)[None] if orders is None else orders
    kinds, inverse = np.unique(colours @ size ** np.arange(k), return_inverse=True)
    digits = (kinds[:, None] // size ** np.arange(k) % size)[:, orders].reshape(-1, k)
    pools = [np.flatnonzero(inverse == i).tolist() for i in range(len(kinds))]
    left = np.array([len(pool) for pool in pools], np.int64)
    good: list[tuple[int, int]] = []
    spare: list[tuple[int, int]] = []
    while left.sum() >= size:
        chosen: list[int] = []
        for _ in range(TRIES):
            chosen = max(chosen, _one_set(digits, left, len(orders), size, rng), key=len)
            if len(chosen) == size:
                break
        np.subtract.at(left, np.array(chosen) // len(orders), 1)
        found = [(pools[row // len(orders)].pop(), row % len(orders)) for row in chosen]
        (good if len(found) == size else spare).extend(found)
    spare += [(gate, 0) for pool in pools for gate in pool]
    turned = {gate: orders[turn] for gate, turn in good}
    last = _patched(colours, [gate for gate, _ in spare], size)
    order = np.array([gate for gate, _ in good] + last, np.int64)
    return order, np.array([turned.get(gate, orders[0]) for gate in range(len(colours))]).reshape(-1, k)


def _one_set(digits: Array, left: Array, turns: int, size: int, rng: np.random.Generator) -> list[int]:
    """Rows of ``digits`` that fit together, the most frequent kinds first: kind times ``turns`` plus the order."""
    chosen: list[int] = []
    noisy = np.where(left > 0, left + rng.random(len(left)), 0.0)
    weight = np.repeat(noisy, turns) * rng.uniform(0.7, 1.0, len(left) * turns)
    while len(chosen) < size:
        row = int(weight.argmax())
        if weight[row] == 0:
            break
        chosen.append(row)
        weight = np.where((digits == digits[row]).any(1), 0, weight)
        kind = row // turns
        if sum(other // turns == kind for other in chosen) >= left[kind]:
            weight[kind * turns : (kind + 1) * turns] = 0
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
