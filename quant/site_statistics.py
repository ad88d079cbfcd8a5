"""What calibration tells of a site: second moments, and vectors that the moments have not seen."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array
from edgegate.quant.moments import Moments, MomentsSum, Source
from edgegate.quant.sample import Sample
from edgegate.quant.sites import Site

HELD = 256
"""At most so many vectors are kept to compare transforms on."""
SHARE = 4
"""One vector in so many is held out."""


class SiteStatistics:
    """Sums over the vectors of a site as they stream by.

    One vector in :data:`SHARE` is held out: the moments, and the transforms made from them, do not see it. Of those
    a uniform sample of :data:`HELD` is kept.

    Args:
        site: Where the vectors are read.
        source: What the moments are said to come from.
        hessian: Whether the K x K second moment of all vectors is summed too, for GPTQ: 8 K^2 bytes.
        seed: Of the choice of vectors.
    """

    def __init__(self, site: Site, source: Source, *, hessian: bool = False, seed: int = 0) -> None:
        self.site = site
        self._rng = np.random.default_rng(seed)
        self._sum = MomentsSum(site.channels, site.block, source)
        self._kept = Sample(HELD, (site.channels,), self._rng)
        self._summed, self._seen, self._total = 0, 0, np.zeros(site.channels)
        self._hessian = np.zeros((site.channels, site.channels)) if hessian else None

    def add(self, values: Array) -> None:
        """Look at the vectors of an array of the site's value."""
        rows = self.site.rows(values)
        held = self._rng.random(len(rows)) * SHARE < 1
        if not self._summed and held.all():
            held[0] = False
        self._kept.add(rows[held])
        self._sum.add(rows[~held])
        self._summed += int((~held).sum())
        self._seen, self._total = self._seen + len(rows), self._total + rows.sum(axis=0, dtype=np.float64)
        if self._hessian is not None:
            self._hessian += rows.T.astype(np.float64) @ rows.astype(np.float64)

    def moments(self) -> Moments:
        """Of the vectors that were not held out."""
        return self._sum.result()

    def held_out(self) -> Array:
        """float64 [R, K], R at most :data:`HELD`, none all zero.

        Where no vector was held out, or all are zero: noise of the channels' mean squares.
        """
        rows = self._kept.rows[np.any(self._kept.rows != 0, axis=1)].astype(np.float64)
        if len(rows):
            return rows
        deviation = np.sqrt(self.moments().diagonal.reshape(-1)[: self.site.channels])
        return np.random.default_rng(0).standard_normal((HELD, len(deviation))) * deviation

    def mean(self) -> Array:
        """Of all vectors, float64 [K]."""
        return self._total / self._seen

    def hessian(self) -> Array | None:
        """The mean of ``x x^T`` over all vectors, float64 [K, K], if it was asked for."""
        return None if self._hessian is None else self._hessian / self._seen
