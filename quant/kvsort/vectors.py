"""Queries and keys to choose by: a bounded sample of those that stream by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgegate.errors import CompileError
from edgegate.graph import Array, where
from edgegate.quant.kvsort.choose import Vectors
from edgegate.quant.kvsort.model import heads_of
from edgegate.quant.kvsort.sites import Site
from edgegate.quant.sample import Sample

MOST = 256
"""At most so many queries, and keys, are kept to make candidates of, and as many others to compare them on."""


class SeenVectors:
    """Queries and keys of a site as they stream by; every second is held out.

    Args:
        site: Of the model that runs.
        seed: Of the choice of vectors.
    """

    def __init__(self, site: Site, seed: int = 0) -> None:
        self._site, self._rng = site, np.random.default_rng(seed)
        widths = ((site.layout.heads, site.layout.size), (site.layout.kv_heads, site.layout.size))
        self._samples = [[Sample(MOST, dims, self._rng) for dims in widths] for _ in range(2)]

    def add(self, values: Mapping[str, Array]) -> None:
        """Look at what the product reads, as far as ``values`` has it by name.

        Raises:
            CompileError: It is NaN or infinite.
        """
        for index, operand in enumerate(self._site.node.inputs[:2]):
            assert operand is not None, "a product has two operands"
            if operand.name not in values:
                continue
            data = values[str(operand.name)]
            if not np.isfinite(data).all():
                what = f"the float model computes NaN or infinity in {operand.name}"
                raise CompileError(where(self._site.node), what, "check the weights and the calibration data")
            rows = heads_of(self._site, index, data)
            held = self._rng.random(len(rows)) < 0.5
            for sample, part in zip(self._samples, (rows[~held], rows[held]), strict=True):
                sample[index].add(part)

    def vectors(self) -> tuple[Vectors, Vectors]:
        """To make candidates of, and held out; the same where there are too few for both."""
        fit, held_out = ([sample.rows.astype(np.float64) for sample in samples] for samples in self._samples)
        for index in range(2):
            fit[index] = fit[index] if len(fit[index]) else held_out[index]
            held_out[index] = held_out[index] if len(held_out[index]) else fit[index]
        return (fit[0], fit[1]), (held_out[0], held_out[1])
