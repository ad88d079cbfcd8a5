"""A histogram that grows with what it sees, and the ranges and errors read off it.

The bins are ``2**exponent / SIDE`` wide and stand at fixed places, the exponent being the least that holds
every value seen. Growing by one octave merges bins two by two, without interpolation: the histogram does
not depend on the order or the batches in which the values came, and one pass is enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from edgegate.graph import Array
from edgegate.quant.storage import STATE_LIMIT, Storage

SIDE = 4096
"""Bins on each side of zero: at least 8 per step of the 8-bit grid."""

ROOM = (1.0, 1.0625, 1.125, 1.25, 1.375, 1.5, 1.75, 2.0)
"""How much wider a range may be than the best one for what was seen."""


class Histogram:
    """Counts of the values of one tensor. Exact zeros are counted apart: they are stored without error.

    Attributes:
        low: The least value seen; +inf before any.
        high: The greatest value seen; -inf before any.
        zeros: How many exact zeros were seen.
        exponent: Every value seen is below ``2**exponent`` in magnitude; None before any other than zero.
        counts: [2 * SIDE] int64; bin ``i`` covers ``[i - SIDE, i - SIDE + 1) * 2**exponent / SIDE``.
        halves: Histograms of two parts of the inputs, each of which tells how the other's range does; None: unknown.
    """

    def __init__(self) -> None:
        self.low, self.high, self.zeros = math.inf, -math.inf, 0
        self.exponent: int | None = None
        self.counts = np.zeros(2 * SIDE, np.int64)
        self.halves: tuple[Histogram, Histogram] | None = None
        self._seen: tuple[Array, Array] | None = None
        self._floats: Array | None = None
        self._best: dict[str, tuple[float, float]] = {}
        self._room: dict[str, tuple[float, float]] = {}

    @classmethod
    def halved(cls, parts: Iterable[Histogram], halves: tuple[Histogram, Histogram]) -> Histogram:
        """What ``parts`` have counted, with halves that have both seen something, or none."""
        made = cls()
        for part in parts:
            made.merge(part)
        if all(half.exponent is not None for half in halves):
            made.halves = halves
        return made

    def add(self, values: Array) -> None:
        """Count ``values``; ValueError for NaN and infinity."""
        x = np.asarray(values).ravel()
        if not x.size:
            return
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("NaN or infinity")
        self._seen, self._floats, self._best = None, None, {}
        self.low, self.high = min(self.low, low), max(self.high, high)
        zeros = x.size - int(np.count_nonzero(x))
        self.zeros += zeros
        if zeros < x.size:
            self._grow(math.frexp(max(-low, high))[1])
            self.counts += np.bincount(self._bins(x), minlength=2 * SIDE)
            self.counts[SIDE] -= zeros

    def merge(self, other: Histogram) -> None:
        """Count what ``other`` has counted, as if it had been added here."""
        self._seen, self._floats, self._best = None, None, {}
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros
        if other.exponent is not None:
            grown = Histogram()
            grown.exponent, grown.counts = other.exponent, other.counts
            self._grow(other.exponent)
            grown._grow(self.exponent or 0)
            self.counts = self.counts + grown.counts

    def _bins(self, x: Array) -> Array:
        """The bin of each value: int64."""
        assert self.exponent is not None
        # Scaling by a power of two is exact, also in float32, which takes half the time.
        if x.dtype == np.float32 and abs(self.exponent) < 100:
            scaled = x * np.float32(SIDE * 2.0**-self.exponent)
        else:
            scaled = np.ldexp(x.astype(np.float64), -self.exponent) * SIDE
        return np.floor(scaled, out=scaled).astype(np.int64) + SIDE

    def _grow(self, exponent: int) -> None:
        if self.exponent is None:
            self.exponent = exponent
        while self.exponent < exponent:
            if not self.counts.any():
                self.exponent = exponent
                return
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(merged, SIDE // 2)
            self.exponent += 1

    @property
    def width(self) -> float:
        """Of one bin."""
        return 0.0 if self.exponent is None else math.ldexp(1.0, self.exponent) / SIDE

    def seen(self) -> tuple[Array, Array]:
        """Centres (float64) and counts (int64) of the bins that hold something; exact zeros come last.

        The centre of a bin that reaches past the least or greatest value is moved inside.
        """
        if self._seen is None:  # a search for the best range asks 300 times
            at = np.flatnonzero(self.counts)
            centres = np.clip((at - SIDE + 0.5) * self.width, self.low, self.high)
            self._seen = np.append(centres, 0.0), np.append(self.counts[at], self.zeros)
        return self._seen

    def percentile(self, share: float) -> tuple[float, float]:
        """The least and greatest value left when ``(100 - share) / 2`` per cent are cut off each tail."""
        centres, counts = self.seen()
        order = np.argsort(centres, kind="stable")
        total = np.cumsum(counts[order])
        cut = (100 - share) / 200 * total[-1]
        first = np.searchsorted(total, cut, side="right")
        last = np.searchsorted(total, total[-1] - cut, side="left")
        low, high = centres[order][[min(int(first), len(total) - 1), int(last)]]
        half = self.width / 2
        return max(float(low) - half, self.low), min(float(high) + half, self.high)

    def error(self, storage: Storage) -> float:
        """Mean squared error of storing what was seen."""
        centres, counts = self.seen()
        # Storage.quantize but for its care of ties, whose errors are equal either way. In place: a search for the
        # best range asks 300 times.
        off = centres / storage.scale
        off += storage.zero_point + 0.5
        np.floor(off, out=off)
        np.clip(off, storage.low, storage.high, out=off)
        off -= storage.zero_point
        off *= storage.scale
        off -= centres
        off *= off
        return float(off @ self._weights()) / max(int(counts.sum()), 1)

    def _weights(self) -> Array:
        """The counts of :meth:`seen`, float64."""
        if self._floats is None:
            self._floats = self.seen()[1].astype(np.float64)
        return self._floats

    def ratio(self, storage: Storage) -> float:
        """Signal-to-quantization-noise ratio of ``storage`` in dB over all values, what it clips included."""
        centres, counts = self.seen()
        power, error = float(np.sum(counts * centres**2)), self.error(storage) * int(counts.sum())
        return math.inf if error == 0 or power == 0 else 10 * math.log10(power / error)

    def best(self, dtype: str) -> tuple[float, float]:
        """What :func:`best` says of it, looked for once."""
        if dtype not in self._best:
            self._best[dtype] = best(self, dtype)
        return self._best[dtype]

    def room(self, dtype: str) -> tuple[float, float]:
        """What :func:`room` says of it, looked for once."""
        if dtype not in self._room:
            self._room[dtype] = room(self, dtype)
        return self._room[dtype]

    def noise(self, storage: Storage) -> float:
        """Signal-to-quantization-noise ratio of ``storage`` in dB; +inf where it stores without error.

        Over all values but the hundredth with the largest magnitudes: outliers are a signal so strong that
        they would hide what the step they ask for does to the rest. Exact zeros do not count.
        """
        centres, counts = (part[:-1] for part in self.seen())
        order = np.argsort(np.abs(centres), kind="stable")
        centres, counts = centres[order], counts[order]
        bulk = np.cumsum(counts) <= max(int(counts.sum()) * 99 // 100, int(counts[:1].sum()))
        centres, counts = centres[bulk], counts[bulk]
        stored = storage.dequantize(storage.quantize(centres))
        power, error = np.sum(counts * centres**2), np.sum(counts * (centres - stored) ** 2)
        return math.inf if error == 0 or power == 0 else 10 * math.log10(power / error)


def fit(low: float, high: float, dtype: str) -> Storage:
    """The storage whose range is [low, high], widened so that it holds 0.

    int8 and uint8 are asymmetric and store 0.0 exactly, at the zero point; int16 is symmetric, and so is int32,
    whose scale is a power of two. An empty range (nothing but zeros) gets the scale 2**-8, as a gate has.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return Storage(dtype=dtype, scale=2.0**-8, zero_point=-128 if dtype == "int8" else 0)
    if dtype == "int16":
        return Storage(dtype=dtype, scale=_at_least(max(-low, high) / 32767))
    if dtype == "int32":
        fraction, exponent = math.frexp(_at_least(max(-low, high) / STATE_LIMIT))
        return Storage(dtype=dtype, scale=math.ldexp(1.0, exponent - (fraction == 0.5)))
    scale = float(np.float32(_at_least((high - low) / 255)))
    least = -128 if dtype == "int8" else 0
    zero_point = math.floor(-low / scale + 0.5) + least
    return Storage(dtype=dtype, scale=scale, zero_point=min(max(zero_point, least), least + 255))


def _at_least(scale: float) -> float:
    return min(max(scale, 2.0**-64), 2.0**63)


def best(histogram: Histogram, dtype: str) -> tuple[float, float]:
    """The range with the least squared error: both ends shrunk together, then each alone.

    A search over 2**-4 of the range seen, in steps of 1/64; the first of equals (the widest) wins.
    """
    seen = (min(histogram.low, 0.0), max(histogram.high, 0.0))
    factors = np.arange(64, 3, -1) / 64

    def error(low: float, high: float) -> float:
        return histogram.error(fit(low, high, dtype))

    low, high = min(((seen[0] * f, seen[1] * f) for f in factors), key=lambda r: error(*r))
    for _ in range(2):
        low = min((seen[0] * f for f in factors), key=lambda x: error(x, high)) if seen[0] else 0.0
        high = min((seen[1] * f for f in factors), key=lambda x: error(low, x)) if seen[1] else 0.0
    return low, high


def room(histogram: Histogram, dtype: str) -> tuple[float, float]:
    """How much wider than the best range a range should be for other inputs, and what it has on them.

    The range with the least error over few inputs clips what they did not show of the tails, and looks good on them.
    So the best range of one half of the inputs is tried on the other, both ways, and the factor of :data:`ROOM`
    counts under which the worse way has the higher ratio of signal to noise.

    Returns:
        The factor, and the ratio in dB over all values. Without halves nothing is known: 1, infinite.
    """
    if histogram.halves is None:
        return 1.0, math.inf
    first, second = histogram.halves
    pairs = (first.best(dtype), second), (second.best(dtype), first)
    ratios = {f: min(other.ratio(fit(low * f, high * f, dtype)) for (low, high), other in pairs) for f in ROOM}
    best_factor = max(ratios, key=lambda factor: ratios[factor])
    return best_factor, ratios[best_factor]
