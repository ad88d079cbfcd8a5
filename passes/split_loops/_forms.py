"""One node for all steps: how each op takes T steps at once.

A value of a step has all its steps in one array: time takes the place of a first axis of one, [1, *rest] -> [T, *rest],
which makes of it a batch; any other gets an axis in front, [*dims] -> [T, *dims]. A rule says what a node reads and
makes in place of that, and with which attributes, so that each step is what it was; an op without a rule has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.ops import OPS

Dims = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A node over all steps.

    Attributes:
        inputs: For each: the shape that all steps of it are given; an array that is read instead; None: it stays.
        outputs: Shapes.
        attributes: Those that are other than before.
    """

    inputs: tuple[Dims | Array | None, ...]
    outputs: tuple[Dims, ...]
    attributes: Mapping[str, Any]


Rule = Callable[[ir.Node, set[int], int], Form | None]
"""From a node, the positions of its inputs that vary from step to step, and the number of steps."""


def batch(dims: Sequence[int], steps: int) -> Dims:
    """All steps of a value of these dims: as a batch, if its first axis is one of a single sample."""
    return (steps, *dims[1:]) if tuple(dims[:1]) == (1,) else (steps, *dims)


def form(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    """The node over all steps, or None if there is no rule for it."""
    rule = RULES.get((node.domain, node.op_type))
    if rule is None and (op := OPS.get((node.domain, node.op_type))) is not None and op.scalar is not None:
        rule = _elementwise
    return rule(node, varying, steps) if rule else None


def _dims(node: ir.Node) -> list[Dims]:
    return [() if v is None else shape(v) for v in node.inputs]


def _made(node: ir.Node, steps: int, merged: bool) -> tuple[Dims, ...]:
    return tuple((steps, *shape(v)[1:]) if merged else (steps, *shape(v)) for v in node.outputs)


def _aligned(node: ir.Node, varying: set[int], steps: int, rank: int, merged: bool) -> Form:
    """Inputs that vary with as many axes as ``rank``, and time as the first of them, or in front."""
    padded = [(*(1,) * (rank - len(d)), *d) for d in _dims(node)]
    given = [((steps, *d[1:]) if merged else (steps, *d)) if i in varying else None for i, d in enumerate(padded)]
    return Form(inputs=tuple(given), outputs=_made(node, steps, merged), attributes={})


def _elementwise(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    """Operands that broadcast."""
    dims = shape(node.outputs[0])
    return _aligned(node, varying, steps, len(dims), dims[:1] == (1,))


def _looked_up(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    return _elementwise(node, varying, steps) if varying == {0} else None


def _rows(count: int) -> Rule:
    """The last axis is worked on, of the first ``count`` inputs; all else is constant."""

    def rule(node: ir.Node, varying: set[int], steps: int) -> Form | None:
        dims = _dims(node)[0]
        if not varying <= set(range(count)) or not dims:
            return None
        return _aligned(node, varying | {0}, steps, len(dims), len(dims) > 1 and dims[0] == 1)

    return rule


def _product(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    """A matrix product: of rows by one matrix, or of many by many."""
    left, right = _dims(node)[:2]
    if not varying <= {0, 1} or min(len(left), len(right)) < 2:
        return None
    if varying == {0} and len(right) == 2:
        return _rows(1)(node, varying, steps)
    rank = len(shape(node.outputs[0]))
    return _aligned(node, varying, steps, rank, rank > 2 and shape(node.outputs[0])[0] == 1)


def _images(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    """The first axis is the batch."""
    if varying != {0} or _dims(node)[0][0] != 1:
        return None
    return Form(inputs=((batch(_dims(node)[0], steps)), *[None] * (len(node.inputs) - 1)),
                outputs=_made(node, steps, True), attributes={})  # fmt: skip


def _along(name: str, default: int = 0, *, all_inputs: bool = False) -> Rule:
    """One axis, or several, that an attribute names; ``all_inputs``: each input has it, else the first alone."""

    def rule(node: ir.Node, varying: set[int], steps: int) -> Form | None:
        dims = _dims(node)
        if not (all_inputs or varying == {0}) or not dims[0]:
            return None
        given = attribute(node, name, default)
        axes = [a % len(dims[0]) for a in ([given] if isinstance(given, int) else given)]
        merged = dims[0][0] == 1 and 0 not in axes and all(shape(v)[:1] == (1,) for v in node.outputs)
        if not merged:
            axes = [a + 1 for a in axes]
        some = range(len(dims)) if all_inputs else [0]
        inputs = [((steps, *d[1:]) if merged else (steps, *d)) if i in some else None for i, d in enumerate(dims)]
        made = axes[0] if isinstance(given, int) else axes
        return Form(inputs=tuple(inputs), outputs=_made(node, steps, merged), attributes={name: made})

    return rule


def _gather(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    """Places that are the same in all steps, or rows of one table."""
    if varying == {0}:
        return _along("axis")(node, varying, steps)
    table, indices = _dims(node)[:2]
    if varying != {1} or attribute(node, "axis", 0) % len(table) != 0:
        return None
    read = batch(indices, steps)
    return Form(inputs=(None, read), outputs=((*read, *table[1:]),), attributes={})


def _transpose(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    (dims,), perm = _dims(node), [int(p) for p in attribute(node, "perm")]
    merged = dims[0] == 1 and perm[0] == 0
    moved = perm if merged else [0, *(p + 1 for p in perm)]
    given = (steps, *dims[1:]) if merged else (steps, *dims)
    return Form(inputs=(given,), outputs=_made(node, steps, merged), attributes={"perm": moved})


def _reshape(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    if varying != {0}:
        return None
    made = batch(shape(node.outputs[0]), steps)
    return Form(inputs=(batch(_dims(node)[0], steps), np.array(made, np.int64)), outputs=(made,), attributes={})


def _cum_sum(node: ir.Node, varying: set[int], steps: int) -> Form | None:
    axis, dims = array(node.inputs[1]), _dims(node)[0]
    if varying != {0} or axis is None:
        return None
    moved = np.array(int(axis.reshape(-1)[0]) % len(dims) + 1, axis.dtype).reshape(axis.shape)
    return Form(inputs=((steps, *dims), moved), outputs=_made(node, steps, False), attributes={})


OWN: dict[str, Rule] = {
    "Table": _looked_up, "Table16": _looked_up,
    "RowNorm": _rows(1), "Softmax": _rows(1), "LogSoftmax": _rows(1), "MaskedSoftmax": _rows(2),
    "Hadamard": _rows(1), "BlockTransform": _rows(1), "BlockQuantize": _rows(1), "BlockMatMul": _rows(2),
    "MaskedMatMul": _rows(1), "Logic": _rows(1), "GroupSum": _rows(1),
    "MatMul": _product, "MatMul16": _product, "MatMul16x8": _product,
    "Conv1d": _images, "Conv2d": _images, "Conv2d16x8": _images, "DepthwiseConv2d": _images, "MaxPool2d": _images,
    "SumPool2d": _images, "ResizeLinear": _images,
    "Sum": _along("axes"), "ReduceMax": _along("axes"), "ReduceMin": _along("axes"),
}  # fmt: skip
STANDARD: dict[str, Rule] = {
    "Reshape": _reshape, "Transpose": _transpose, "Gather": _gather, "CumSum": _cum_sum,
    "Concat": _along("axis", all_inputs=True), "Split": _along("axis"), "ArgMax": _along("axis"),
    "TopK": _along("axis", -1), "GatherElements": _along("axis", all_inputs=True),
    "ScatterElements": _along("axis", all_inputs=True),
}  # fmt: skip
RULES: dict[tuple[str, str], Rule] = {
    **{("edgegate", name): rule for name, rule in OWN.items()}, **{("", name): rule for name, rule in STANDARD.items()}
}  # fmt: skip
"""Rules by (domain, op type); ops that work on each element for itself need none."""
