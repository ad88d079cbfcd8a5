"""What the values of a float model are: ranges, histograms, and means per channel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, shape, where
from edgegate.quant.histogram import Histogram


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen.

    Attributes:
        histograms: By value name; their halves are of every other sample, and of those between.
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
    batch: int | None = None,
) -> Observation:
    """Look at values as they come, keeping none of them.

    Args:
        model: For the names in errors.
        seen: Mappings from value name to array. One need not hold every value: see
            :func:`edgegate.quant.synthetic.run`, which makes them layer by layer.
        histograms: Names of the values to count.
        means: Name of a value -> its channel axis.
        batch: Samples of a mapping, if every other of them is to make half of a histogram.

    Raises:
        CompileError: A value became NaN or infinite.
        ValueError: A value was never seen: there was no calibration data.
    """
    counted = {name: (Histogram(), Histogram()) for name in histograms}
    sums = {name: _Mean(axis) for name, axis in means.items()}
    runs = dict.fromkeys([*counted, *sums], 0)
    for values in seen:
        for name, x in values.items():
            if name in counted:
                parts = (x, x[:0]) if batch is None else halves(np.atleast_1d(x), runs[name] * batch, batch)
                for half, part in zip(counted[name], parts, strict=True):
                    _count(model, half, name, part)
            if name in sums:
                sums[name].add(x)
            if name in runs:
                runs[name] += 1
    missing = sorted(name for name, times in runs.items() if not times)
    if missing:
        raise ValueError(f"no calibration data: nothing was seen of {', '.join(missing[:5])}")
    averages = {name: s.mean() for name, s in sums.items()}
    whole = {name: Histogram.halved(parts, parts) for name, parts in counted.items()}
    return Observation(histograms=whole, means=averages, runs=max(runs.values(), default=0))


def samples_of(model: ir.Model) -> int:
    """How many samples a batch has: the length of the first axis that an input has."""
    return next((max(dims[0], 1) for v in model.graph.inputs if (dims := shape(v))), 1)


def halves(x: Array, first: int, samples: int) -> tuple[Array, Array]:
    """What belongs to even samples, and to odd ones: the same samples, whatever their batches.

    Args:
        x: [N, ...], of ``samples`` samples one behind the other if that divides N; else nobody knows, and all of it
            is the first sample's.
        first: Number of the first sample.
        samples: How many there are.
    """
    if len(x) % samples:
        return (x, x[:0]) if first % 2 == 0 else (x[:0], x)
    rows = x.reshape(samples, len(x) // samples, *x.shape[1:])
    return rows[first % 2 :: 2], rows[1 - first % 2 :: 2]


def _count(model: ir.Model, histogram: Histogram, name: str, x: Array) -> None:
    try:
        histogram.add(x)
    except ValueError as e:
        producer = next((n for n in model.graph if any(v.name == name for v in n.outputs)), None)
        place = where(producer) if producer is not None else name
        what = f"the float model itself computes {e} in {name!r} on the calibration data"
        raise CompileError(place, what, "check the weights and the calibration data") from e
