"""Matrices that are halves of one."""

from __future__ import annotations

from collections.abc import Sequence

from edgegate.graph import Array

LEAST_HALF, LEAST_WHOLE = 1 / 16, 1 / 2
"""Share of a matrix that each half, and both together, must fill: else they are sparse, and no pair."""


def complements(matrices: Sequence[Array]) -> list[tuple[int, int]]:
    """Pairs of matrices of one shape that have no place in common and together fill most places; each in one pair."""
    held = [matrix != 0 for matrix in matrices]
    share = [float(bits.mean()) for bits in held]
    pairs, taken = [], set[int]()
    for i in range(len(held)):
        for j in range(i + 1, len(held)):
            if taken.isdisjoint((i, j)) and _is_pair(share[i], share[j]) and not (held[i] & held[j]).any():
                pairs.append((i, j))
                taken |= {i, j}
    return pairs


def _is_pair(first: float, second: float) -> bool:
    return min(first, second) >= LEAST_HALF and LEAST_WHOLE <= first + second <= 1
