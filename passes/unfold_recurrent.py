"""GRU, LSTM and RNN nodes are loops over a step of layers and gates."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import array, attribute, matches, replace, shape, where
from edgegate.passes._cells import CELLS, Cell
from edgegate.passes._steps import Steps
from edgegate.stages.loops import is_mark, loops

DIRECTIONS = {"forward": (0,), "reverse": (1,), "bidirectional": (0, 1)}
"""Which way each direction of a node runs: 1 from the end."""


def unfold_recurrent(model: ir.Model) -> None:
    """Turn each GRU, LSTM and RNN into layers over the whole sequence and one loop for each direction.

    The weights of the input do not depend on the state: their product is taken for all steps at once, before the
    loop. What is left in a step is the product of the state, and the gates.

    Source: the ONNX operators GRU, LSTM and RNN, version 14.

    Raises:
        CompileError: Weights are computed at run time, sequences of one batch differ in length, or there is a loop
            within a loop.
    """
    for node in matches(model, *CELLS):
        _check(node)
        _unfold(Steps(model, node), node)
    for loop in loops(model.graph):
        for inner in filter(is_mark, loop.inside):
            what = f"is a loop within the loop {loop.name}"
            raise CompileError(where(inner), what, "unroll the inner one, or make one loop of the two")


def _check(node: ir.Node) -> None:
    """CompileError unless weights are constants and all sequences have the length of the input."""
    weights = [v for i, v in enumerate(node.inputs) if i in (1, 2, 3, 7) and v is not None]
    if any(array(v) is None for v in weights):
        raise CompileError(where(node), "its weights are computed at run time", "make them constants of the model")
    lengths, source = node.inputs[4] if len(node.inputs) > 4 else None, node.inputs[0]
    assert source is not None, "a recurrent node has an input"
    steps = shape(source)[1 if attribute(node, "layout", 0) else 0]
    if lengths is not None and ((data := array(lengths)) is None or (data != steps).any()):
        what = "the sequences of a batch differ in length (sequence_lens)"
        raise CompileError(where(node), what, f"give it whole sequences of {steps} steps, without pack_padded_sequence")


def _unfold(steps: Steps, node: ir.Node) -> None:
    batch_first = bool(attribute(node, "layout", 0))
    x = _input(steps, node, 0, batch_first)
    assert x is not None, "a recurrent node has an input"
    ways = DIRECTIONS[attribute(node, "direction", "forward")]
    found = [_direction(steps, node, x, index, way) for index, way in enumerate(ways)]
    sequences, *finals = map(list, zip(*found, strict=True))
    y = steps.stack(sequences, 1, "y")
    last = [steps.stack(parts, 0, f"last{i}") for i, parts in enumerate(finals)]
    if batch_first:
        y = steps.transpose(y, (2, 0, 1, 3), "y.first")
        last = [steps.transpose(v, (1, 0, 2), f"last{i}.first") for i, v in enumerate(last)]
    replace(node, *[y, *last][: len(node.outputs)])


def _input(steps: Steps, node: ir.Node, index: int, batch_first: bool) -> ir.Value | None:
    """An input of the node [T, B, I], or a given state [directions, B, H]."""
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None or not batch_first:
        return value
    data, name = array(value), f"input{index}.first"
    return steps.transpose(value, (1, 0, 2), name) if data is None else steps.floats(data.swapaxes(0, 1), name)


def _direction(steps: Steps, node: ir.Node, x: ir.Value, index: int, way: int) -> list[ir.Value]:
    """[sequence [T, B, H], final states [B, H]...] of one direction."""
    cell, kind, name = Cell.of(node, index), CELLS[node.op_type], f"way{index}"
    count, batch, _ = shape(x)
    states = []
    for position in range(5, 5 + kind.states):
        given = _input(steps, node, position, bool(attribute(node, "layout", 0)))
        zeros = (batch, cell.hidden)
        states.append(steps.zeros(zeros, "zeros") if given is None else steps.pick(given, index, f"state{position}"))
    projected = cell.projected(steps, x)
    before, elements = steps.begin(name, states, projected, [way] * len(projected))
    after = kind.step(cell, steps, before, elements)
    finals, (sequence,) = steps.end(name, after, after[:1], [way], count)
    return [sequence, *finals]
