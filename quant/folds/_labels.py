"""Which elements of which tensors must be multiplied alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgegate.graph import Array

FIXED, FREE = 0, -1
"""Labels of elements that must stay as they are, and of elements that nothing reads."""


class Ties:
    """Channels of one value, joined into groups by the graph behind it.

    A label is one number for each element of a tensor: ``1 + channel + site * (channels + 1)``, where the
    channel says which channel of the value the element goes into, and the site where in that channel. A plain
    scale needs no sites: there they are 0. FIXED and FREE are not channels.

    Args:
        channels: How many there are.
        size: Of the blocks that stay together; each block at each site is a thing of its own.
    """

    def __init__(self, channels: int, size: int = 1) -> None:
        self.channels, self.size = channels, size
        self._parent = np.arange(channels + 1)
        self._sites = 0
        self._replaced: list[Array] = []

    def sites(self, count: int) -> Array:
        """So many sites that no label has yet."""
        self._sites += count
        return np.arange(self._sites - count, self._sites)

    def roots(self) -> Array:
        """[channels + 1] the least label of each label's group: 0 for all that are tied to FIXED."""
        while not np.array_equal(self._parent, self._parent[self._parent]):
            self._parent = self._parent[self._parent]
        return self._parent

    def fix(self, labels: Array) -> None:
        """Tie all these labels to FIXED."""
        for channel in np.unique(self.channel(labels)):
            self._join(int(channel), FIXED)

    def channel(self, labels: Array) -> Array:
        """The labels without their sites; FREE is FIXED here."""
        return np.where(labels > 0, labels % (self.channels + 1), FIXED)

    def site(self, labels: Array) -> Array:
        """The sites alone."""
        return np.where(labels > 0, labels // (self.channels + 1), 0)

    def merge(self, first: Array, second: Array) -> Array:
        """Two demands on one tensor, as one: where they differ the first holds, and their channels are tied."""
        differ = (first != second) & (first != FREE) & (second != FREE)
        if differ.any():
            self._tie(first[differ], second[differ])
        return np.asarray(np.where(first == FREE, second, first))

    def over(self, labels: Array, axes: Sequence[int]) -> Array:
        """Labels that are the same along ``axes``, which are kept with size 1; what differs there is tied."""
        if not axes or all(labels.shape[a] == 1 for a in axes):
            return labels
        greatest = labels.max(axis=tuple(axes), keepdims=True)
        self.merge(labels, np.broadcast_to(greatest, labels.shape))
        return np.asarray(greatest)

    def shrink(self, labels: Array, dims: Sequence[int]) -> Array:
        """Labels of an operand of shape ``dims`` from those of the result that it is broadcast to."""
        full = (1,) * (labels.ndim - len(dims)) + tuple(dims)
        spread = [a for a, size in enumerate(full) if size == 1 and labels.shape[a] > 1]
        return self.over(labels, spread).reshape(tuple(dims))

    def pull(self, labels: Array, source: Array, size: int) -> Array:
        """Labels [size] of what was moved: element ``i`` of the result came from ``source[i]``, or is new (-1)."""
        moved = source.ravel() >= 0
        origin, wanted = source.ravel()[moved], labels.ravel()[moved]
        result = np.full(size, FREE, np.int64)
        result[origin] = wanted
        lost = (wanted != FREE) & (result[origin] == FREE)
        result[origin[lost]] = wanted[lost]
        self.merge(result[origin], wanted)
        return result

    def check_sites(self) -> None:
        """Fix every block that was replaced, at some site, by parts of several: it cannot be all of them."""
        if not self._replaced:
            return
        pairs = np.unique(np.concatenate(self._replaced, axis=1), axis=1)
        torn = np.flatnonzero(pairs[0, 1:] == pairs[0, :-1])
        count = self.channels // self.size
        for block in np.unique(pairs[0, torn] % count).tolist():
            for channel in range(block * self.size, (block + 1) * self.size):
                self._join(channel + 1, FIXED)

    def _tie(self, kept: Array, dropped: Array) -> None:
        pairs = np.stack([self.channel(kept), self.channel(dropped)])
        for a, b in np.unique(pairs, axis=1).T.tolist():
            self._join(a, b)
        both = (pairs > 0).all(axis=0)
        if self.size > 1 and both.any():
            count = self.channels // self.size
            blocks = [
                self.site(x[both]) * count + (c[both] - 1) // self.size
                for x, c in zip((dropped, kept), pairs[::-1], strict=True)
            ]
            self._replaced.append(np.unique(np.stack(blocks), axis=1))

    def _join(self, a: int, b: int) -> None:
        while self._parent[a] != a:
            a = int(self._parent[a])
        while self._parent[b] != b:
            b = int(self._parent[b])
        low, high = min(a, b), max(a, b)
        self._parent[high] = low


def varies(labels: Array, axis: int) -> bool:
    """Whether the labels differ along the axis."""
    return bool((labels != np.take(labels, [0], axis=axis)).any())
