"""A histogram that grows with what it sees, and the ranges and errors read off it.

The bins are ``2**exponent / SIDE`` wide and stand at fixed places, the exponent being the least that holds
every value seen. Growing by one octave merges bins two by two, without interpolation: the histogram does
not depend on the order or the batches in which the values came, and one pass is enough.
"""

from __future__ import annotations

import math

import numpy as np

from edgegate.graph import Array
from edgegate.quant.storage import STATE_LIMIT, Storage

SIDE = 4096
"""Bins on each side of zero: at least 8 per step of the 8-bit grid."""


class Histogram:
    """Counts of the values of one tensor. Exact zeros are counted apart: they are stored without error.

    Attributes:
        low: The least value seen; +inf before any.
        high: The greatest value seen; -inf before any.
        zeros: How many exact zeros were seen.
        exponent: Every value seen is below ``2**exponent`` in magnitude; None before any other than zero.
        counts: [2 * SIDE] int64; bin ``i`` covers ``[i - SIDE, i - SIDE + 1) * 2**exponent / SIDE``.
    """

    def __init__(self) -> None:
        self.low, self.high, self.zeros = math.inf, -math.inf, 0
        self.exponent: int | None = None
        self.counts = np.zeros(2 * SIDE, np.int64)
        self._seen: tuple[Array, Array] | None = None
        self._best: dict[str, tuple[float, float]] = {}

    def add(self, values: Array) -> None:
        """Count ``values``; ValueError for NaN and infinity."""
        x = np.asarray(values).ravel()
        if not x.size:
            return
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("NaN or infinity")
        self._seen, self._best = None, {}
        self.low, self.high = min(self.low, low), max(self.high, high)
        zeros = x.size - int(np.count_nonzero(x))
        self.zeros += zeros
        if zeros < x.size:
            self._grow(math.frexp(max(-low, high))[1])
            self.counts += np.bincount(self._bins(x), minlength=2 * SIDE)
            self.counts[SIDE] -= zeros

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
        # Storage.quantize but for its care of ties, whose errors are equal either way.
        stored = np.floor(centres / storage.scale + (storage.zero_point + 0.5))
        np.clip(stored, storage.low, storage.high, out=stored)
        off = centres - (stored - storage.zero_point) * storage.scale
        return float(np.sum(counts * off**2) / max(int(counts.sum()), 1))

    def best(self, dtype: str) -> tuple[float, float]:
        """What :func:`best` says of it, looked for once."""
        if dtype not in self._best:
            self._best[dtype] = best(self, dtype)
        return self._best[dtype]

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
