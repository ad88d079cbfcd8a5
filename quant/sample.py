"""A bounded sample of what streams by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgegate.graph import Array


class Sample:
    """A uniform sample of all rows ever given: those with the least random keys, in the order they came in.

    Args:
        most: Rows that are kept.
        dims: Shape of a row.
        rng: Draws the keys.

    Attributes:
        rows: float32 [R, *dims], R at most ``most``.
    """

    def __init__(self, most: int, dims: Sequence[int], rng: np.random.Generator) -> None:
        self._most, self._rng = most, rng
        self._keys: Array = np.zeros(0)
        self.rows: Array = np.zeros((0, *dims), np.float32)

    def add(self, rows: Array) -> None:
        """Look at ``rows`` [R, *dims]."""
        keys = np.concatenate([self._keys, self._rng.random(len(rows))])
        least = np.sort(np.argsort(keys, kind="stable")[: self._most])
        both = np.concatenate([self.rows, rows.astype(np.float32)])
        self._keys, self.rows = keys[least], both[least]
