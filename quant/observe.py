"""What the values of a float model are: ranges, histograms, and means per channel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, where
from edgegate.quant.histogram import Histogram


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen.

    Attributes:
        histograms: By value name.
        means: Mean per channel, float64, by value name.
        runs: How many times each value was seen.
        powers: Mean square of the smallest rows that norms make of what is stored like a value, by its owner.
    """

    histograms: Mapping[str, Histogram]
    means: Mapping[str, Array]
    runs: int
    powers: Mapping[str, float] = field(default_factory=dict)


class _Mean:
    """Running sum per channel."""

    def __init__(self, axis: int) -> None:
        self.axis, self.total, self.count = axis, np.zeros(()), 0

    def add(self, x: Array) -> None:
        others = tuple(a for a in range(x.ndim) if a != self.axis % x.ndim)
        self.total = self.total + x.sum(axis=others, dtype=np.float64)
        self.count += x.size // x.shape[self.axis]

    def mean(self) -> Array:
        return self.total / self.count


def observe(
    model: ir.Model,
    seen: Iterable[Mapping[str, Array]],
    *,
    histograms: Collection[str],
    means: Mapping[str, int],
) -> Observation:
    """Look at values as they come, keeping none of them.

    Args:
        model: For the names in errors.
        seen: Mappings from value name to array. One need not hold every value: see
            :func:`edgegate.quant.synthetic.run`, which makes them layer by layer.
        histograms: Names of the values to count.
        means: Name of a value -> its channel axis.

    Raises:
        CompileError: A value became NaN or infinite.
        ValueError: A value was never seen: there was no calibration data.
    """
    counted = {name: Histogram() for name in histograms}
    sums = {name: _Mean(axis) for name, axis in means.items()}
    runs = dict.fromkeys([*counted, *sums], 0)
    for values in seen:
        for name, x in values.items():
            if name in counted:
                _count(model, counted[name], name, x)
            if name in sums:
                sums[name].add(x)
            if name in runs:
                runs[name] += 1
    missing = sorted(name for name, times in runs.items() if not times)
    if missing:
        raise ValueError(f"no calibration data: nothing was seen of {', '.join(missing[:5])}")
    averages = {name: s.mean() for name, s in sums.items()}
    return Observation(histograms=counted, means=averages, runs=max(runs.values(), default=0))


def _count(model: ir.Model, histogram: Histogram, name: str, x: Array) -> None:
    try:
        histogram.add(x)
    except ValueError as e:
        producer = next((n for n in model.graph if any(v.name == name for v in n.outputs)), None)
        place = where(producer) if producer is not None else name
        what = f"the float model itself computes {e} in {name!r} on the calibration data"
        raise CompileError(place, what, "check the weights and the calibration data") from e
