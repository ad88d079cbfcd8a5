"""Models that are a step: what their states are over time, and which of them add up what was."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, shape, states
from edgegate.quant.sharing import JOINS, Groups, is_float, is_move
from edgegate.quant.weights import Layer
from edgegate.stages.loops import Loop, loops

STEPS = 256
"""Steps of a run without data: as many inputs as a state needs to settle."""
LONG = 4
"""A queue is long if it holds more than one element for so many weights of what fills it."""


def initial(model: ir.Model) -> dict[str, Array]:
    """The states before the first step: zeros, by the name of their input."""
    inputs = {str(v.name): v for v in model.graph.inputs}
    found = {name: inputs[name] for name, _ in states(model)}
    return {name: np.zeros(shape(v), (v.dtype or ir.DataType.FLOAT).numpy()) for name, v in found.items()}


class Memory:
    """The states while a float model runs step by step.

    Args:
        model: A step, or a model without states, which has nothing to remember.
    """

    def __init__(self, model: ir.Model) -> None:
        self._pairs, self._held = states(model), initial(model)

    def __call__(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs of the next step: a batch that brings a state itself starts from that."""
        return {**self._held, **batch}

    def keep(self, values: Mapping[str, Array]) -> None:
        """Take the states of the next step from all values of this one."""
        self._held = {before: values[after] for before, after in self._pairs}


def accumulating(model: ir.Model, groups: Groups) -> set[str]:
    """Owners of the states that are computed from what they were: their rounding errors add up over the steps.

    A queue is none of them: it only moves what once entered it.
    """
    values = {str(v.name): v for v in _values(model)}
    pairs = [(values[before], values[after]) for before, after in states(model)]
    kept = [(before, after) for before, after in pairs if str(before.name) in groups]  # a count is exact as it is
    found = {groups.owner(str(before.name)) for before, after in kept if _is_computed(after, before)}
    return found.union(*(_fed_back(loop, groups) for loop in loops(model.graph)))


def in_a_step(model: ir.Model, groups: Groups, layers: Sequence[Layer]) -> set[str]:
    """Owners of all activations of a model that is a step, but for its long queues; none of any other model.

    A step reads every weight for one row of activations: what those take is nothing beside it, and what they lose adds
    up over the steps. A long queue (a cache of keys and values) outweighs the layers that fill it, and stays as it is.
    """
    pairs = states(model)
    queues = {groups.owner(before) for before in _long(model, layers) if before in groups}
    return set(groups.owners()) - (queues - accumulating(model, groups)) if pairs else set()


def _long(model: ir.Model, layers: Sequence[Layer]) -> Iterator[str]:
    """The inputs of the states that are not small beside the layers that make what enters them.

    Those are the nearest ones with more than a factor for each channel; all of the model, where an input enters. A
    place or a token is no such input: it only picks.
    """
    values = {str(v.name): v for v in _values(model)}
    sizes = {layer.node: layer.data().size for layer in layers if layer.node.op_type != "Affine"}
    for before, after in states(model):
        origins = {value for value, _ in _past(values[after], sizes)} - {values[before]}
        makers = {node for value in origins if (node := value.producer()) in sizes}
        if any(is_float(value) for value in origins.intersection(model.graph.inputs)):
            makers = set(sizes)
        if math.prod(shape(values[before])) * LONG > sum(sizes[node] for node in makers):
            yield before


def _fed_back(loop: Loop, groups: Groups) -> set[str]:
    """Owners of all that a loop computes from its states to make their next ones, sums of the input with them too.

    Gates are among them: what they are wrong by, a state is wrong by in every step from then on.
    """
    pairs = [(before, after) for before, after in loop.carried() if _is_computed(after, before)]
    made = {v for n in loop.inside for v in n.outputs} | set(loop.begin.outputs)
    past = {value for _, after in pairs for value, _ in _past(after)} & made
    return {groups.owner(str(v.name)) for v in past if is_float(v) and v.name in groups}


def _values(model: ir.Model) -> Iterable[ir.Value]:
    yield from model.graph.inputs
    for node in model.graph:
        yield from node.outputs


def _is_computed(after: ir.Value, before: ir.Value) -> bool:
    """Whether a path from ``before`` to ``after`` has a node that is more than a move."""
    return any(value is before and worked for value, worked in _past(after))


def _past(value: ir.Value, ends: Container[ir.Node] = ()) -> Iterator[tuple[ir.Value, bool]]:
    """Every value that ``value`` is made from, and whether by more than moves; twice, if in both ways.

    What nodes among ``ends`` read is left out.
    """
    waiting, met = [(value, False)], {(value, False)}
    while waiting:
        last, worked = waiting.pop()
        yield last, worked
        node = last.producer()
        if node is None or node in ends:
            continue
        works = worked or not (is_move(node) or (node.op_type in JOINS and not node.domain))
        more = [(v, works) for v in node.inputs if v is not None and (v, works) not in met]
        waiting += more
        met.update(more)
