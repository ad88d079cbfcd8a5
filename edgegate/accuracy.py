"""How near the integers of a scheme come to the float model, measured on data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import onnx_ir as ir

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.graph import Array, states
from edgegate.quant import Scheme, execute
from edgegate.quant.observe import halves, samples_of
from edgegate.quant.recurrence import Memory

MOST = 64
"""Half as many batches as are looked at, so that a trial takes seconds."""


class Accuracy:
    """Signal-to-quantization-noise ratios against the float model, over every other sample.

    Args:
        batches: Of the model's inputs: of a step, those of one step after the other, which are all run.
        lower: Turns a float model that follows a scheme into integers, in place.
    """

    def __init__(self, batches: Iterable[Mapping[str, Array]], lower: Callable[[ir.Model, Scheme], object]) -> None:
        self._batches, self._lower = batches, lower
        self._seen: list[_Batch] = []

    def __call__(self, model: ir.Model, scheme: Scheme) -> float:
        """The ratio in dB of the output that has the least; infinite without noise.

        Args:
            model: Float, with the scheme's transforms applied; not touched.
            scheme: To measure.

        Raises:
            CompileError: No output is real, or the scheme has no integers.
        """
        names = [str(v.name) for v in model.graph.outputs if v.dtype == ir.DataType.FLOAT]
        if not names:
            what = "it gives no real numbers, so there is no ratio of signal to noise"
            raise CompileError("the model", what, "compile it without sqnr")
        self._seen = self._seen or list(_seen(model, self._batches, names))
        copy = ir.from_proto(ir.to_proto(model))
        self._lower(copy, scheme)
        power, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        for batch, found in zip(self._seen, _answers(copy, [b.feed for b in self._seen]), strict=True):
            for name, y in batch.wanted.items():
                power[name] += float(np.square(y, dtype=np.float64).sum())
                noise[name] += float(np.square(y - batch.odd(found[name]), dtype=np.float64).sum())
        return min(_decibels(power[name], noise[name]) for name in names)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Samples, and what float makes of the odd ones.

    Attributes:
        feed: By input name.
        first: Number of the first sample.
        samples: How many there are.
        wanted: By name of the output: the rows of odd samples.
    """

    feed: Mapping[str, Array]
    first: int
    samples: int
    wanted: dict[str, Array] = field(default_factory=dict)

    def odd(self, y: Array) -> Array:
        """The rows of odd samples."""
        return halves(np.atleast_1d(y), self.first, self.samples)[1]


def _seen(model: ir.Model, batches: Iterable[Mapping[str, Array]], names: Sequence[str]) -> Iterator[_Batch]:
    """What is measured: of a step every batch, for its state, else those with an odd sample; not too many."""
    samples, steps = samples_of(model), bool(states(model))
    runs = zip(batches, execute.run(model, batches), strict=True)
    for index, (feed, values) in enumerate(islice(runs, 2 * MOST)):
        batch = _Batch(feed=feed, first=index * samples, samples=samples)
        if steps or samples > 1 or index % 2:
            yield replace(batch, wanted={name: batch.odd(values[name]) for name in names})


def _answers(model: ir.Model, feeds: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
    """The outputs of an integer model, with the states that the last step left."""
    memory = Memory(model)
    for batch in feeds:
        feed = memory(batch)
        found = interpreter.run(model, feed)
        memory.keep({**feed, **found})
        yield found


def _decibels(power: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 10 * math.log10(power / noise) if power else -math.inf
