"""Calibration data as a model takes it: in batches, or step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgegate import sequences
from edgegate.graph import Array, shape
from edgegate.quant.recurrence import initial


def calibration(model: ir.Model, calib: Mapping[str, Array], batch: int) -> Iterable[Mapping[str, Array]]:
    """The feeds of ``model``, to be read as often as one likes.

    Args:
        model: Says what its inputs are, and which of them are states.
        calib: By input name; "" is the first input.
        batch: Samples of a call.
    """
    first = str(model.graph.inputs[0].name)
    data = {first if name == "" else name: array for name, array in calib.items()}
    return Steps(model=model, data=data) if initial(model) else Batches(data=data, size=batch)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Batches of the model's own size; a rest that fills no batch is left out.

    Attributes:
        data: Samples first, by input name; the same number of each.
        size: Samples of a batch.
    """

    data: Mapping[str, Array]
    size: int

    def __iter__(self) -> Iterator[dict[str, Array]]:
        count = len(next(iter(self.data.values())))
        for start in range(0, count - self.size + 1, self.size):
            yield {name: array[start : start + self.size] for name, array in self.data.items()}


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps of sequences; the first of each brings the states, zeros where there is no data of them.

    Attributes:
        model: A step.
        data: As :func:`edgegate.sequences.over_time` takes it, by input name.
    """

    model: ir.Model
    data: Mapping[str, Array]

    def __iter__(self) -> Iterator[dict[str, Array]]:
        fresh = initial(self.model)
        dims = {str(v.name): shape(v) for v in self.model.graph.inputs if v.name in self.data or v.name not in fresh}
        for run in sequences.runs(self.data, dims):
            for index, feed in enumerate(run):
                yield {**fresh, **feed} if index == 0 else feed
