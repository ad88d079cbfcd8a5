"""A sum of products of two values over shared axes, as one MatMul with the moves around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import constant, insert, replace, shape


@dataclass(frozen=True, kw_only=True)
class Term:
    """A value with a label for each of its axes; none twice."""

    value: ir.Value
    labels: tuple[int, ...]

    @property
    def sizes(self) -> dict[int, int]:
        """The length of each axis, by label."""
        return dict(zip(self.labels, shape(self.value), strict=True))

    def without(self, *gone: Sequence[int]) -> tuple[int, ...]:
        """Its labels, in order, less those."""
        return tuple(label for label in self.labels if all(label not in other for other in gone))


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Makes nodes before ``anchor`` that leave out what changes nothing.

    Attributes:
        model: Holds the anchor.
        anchor: Has one output.
        name: What the names of all nodes begin with.
    """

    model: ir.Model
    anchor: ir.Node
    name: str

    @classmethod
    def of(cls, model: ir.Model, anchor: ir.Node, step: str = "") -> Moves:
        """Named after the anchor's output, and after the step where there are several."""
        return cls(model=model, anchor=anchor, name=f"{anchor.outputs[0].name}{step}")

    def finish(self, value: ir.Value) -> None:
        """Let ``value`` take the place of the anchor's output, and its name where it is new."""
        old = self.anchor.outputs[0]
        name, value = old.name, self.reshape(value, shape(old), "result")
        replace(self.anchor, value)
        if str(value.name).startswith(f"{name}."):
            value.name = name

    def reshape(self, value: ir.Value, dims: Sequence[int], part: str) -> ir.Value:
        """``value`` with the shape ``dims``."""
        if shape(value) == tuple(dims):
            return value
        target = constant(self.model, f"{self.name}.{part}.shape", np.array(dims, np.int64))
        return self.node("Reshape", [value, target], part, dims)

    def transpose(self, value: ir.Value, perm: Sequence[int], part: str) -> ir.Value:
        """``value`` with its axes in another order."""
        if list(perm) == sorted(perm):
            return value
        dims = [shape(value)[p] for p in perm]
        moving = [p for p in perm if shape(value)[p] > 1]
        if moving == sorted(moving):
            return self.reshape(value, dims, part)
        return self.node("Transpose", [value], part, dims, perm=list(perm))

    def arranged(self, term: Term, labels: Sequence[int], part: str) -> ir.Value:
        """The term with its axes in the order of ``labels``, which are its own."""
        return self.transpose(term.value, [term.labels.index(label) for label in labels], part)

    def node(
        self, op_type: str, inputs: Sequence[ir.Value], part: str, dims: Sequence[int], **keys: object
    ) -> ir.Value:
        """The output of a new standard node."""
        name = f"{self.name}.{part}"
        return insert(
            self.anchor, op_type, inputs, keys, domain="", name=name, dtype=ir.DataType.FLOAT, dims=dims
        )  # fmt: skip


def contract(moves: Moves, a: Term, b: Term, out: Sequence[int]) -> Term:
    """The sums of products of ``a`` and ``b`` over every label that is not in ``out``, axes in the order of ``out``.

    Axes that both have and that stay are the batch. A factor whose axes are all shared is a row or a column, and the
    other one stays as it is stored, its own axes before those of the sum being a batch over which that one repeats.
    """
    a, b = (_summed(moves, t, o, out, part) for t, o, part in ((a, b, "left"), (b, a, "right")))
    shared = [label for label in a.labels if label in b.labels and label not in out]
    result = _outer(moves, a, b, out) if not shared else _vector(moves, a, b, shared) or _vector(moves, b, a, shared)
    result = result or _matrix(moves, a, b, shared, out)
    return Term(value=moves.arranged(result, out, "ordered"), labels=tuple(out))


def _summed(moves: Moves, term: Term, other: Term, out: Sequence[int], part: str) -> Term:
    """``term`` without the labels that it alone has and that are summed over."""
    kept = tuple(label for label in term.labels if label in other.labels or label in out)
    if kept == term.labels:
        return term
    gone = [i for i, label in enumerate(term.labels) if label not in kept]
    axes = constant(moves.model, f"{moves.name}.{part}.axes", np.array(gone, np.int64))
    dims = [term.sizes[label] for label in kept]
    value = moves.node("ReduceSum", [term.value, axes], f"{part}.sum", dims, keepdims=0)
    return Term(value=value, labels=kept)


def _outer(moves: Moves, a: Term, b: Term, out: Sequence[int]) -> Term:
    """Products alone: each factor with an axis of one where it has none."""
    sides = []
    for term, part in ((a, "left"), (b, "right")):
        labels = [label for label in out if label in term.labels]
        dims = [term.sizes.get(label, 1) for label in out]
        sides.append(moves.reshape(moves.arranged(term, labels, f"{part}.turned"), dims, part))
    sizes = {**a.sizes, **b.sizes}
    value = moves.node("Mul", sides, "products", [sizes[label] for label in out])
    return Term(value=value, labels=tuple(out))


def _vector(moves: Moves, matrix: Term, vector: Term, shared: Sequence[int]) -> Term | None:
    """The product where all axes of ``vector`` are the matrix's too; None where they are not, or do not lie well."""
    places = [i for i, label in enumerate(matrix.labels) if label in shared]
    ordered = [label for label in vector.labels if label in shared]
    together = places == list(range(places[0], places[-1] + 1))
    if vector.without(matrix.labels) or not together or ordered != [matrix.labels[i] for i in places]:
        return None
    before, after = matrix.labels[: places[0]], matrix.labels[places[-1] + 1 :]
    if any(label in vector.labels for label in after):
        return None
    sizes, depth = matrix.sizes, prod(matrix.sizes[label] for label in shared)
    lead = [sizes[label] for label in before]
    row = moves.arranged(vector, [*(label for label in before if label in vector.labels), *ordered], "row.turned")
    over = [sizes[label] if label in vector.labels else 1 for label in before]
    if after or not before or before[-1] in vector.labels:  # a row on the left
        width = prod(sizes[label] for label in after)
        left = moves.reshape(row, [*over, 1, depth], "row")
        right = moves.reshape(matrix.value, [*lead, depth, width], "matrix")
        sums = moves.node("MatMul", [left, right], "sums", [*lead, 1, width])
    else:  # a column on the right, for every row of the matrix
        left = moves.reshape(matrix.value, [*lead, depth], "matrix")
        right = moves.reshape(row, [*over[:-1], depth, 1], "column")
        sums = moves.node("MatMul", [left, right], "sums", [*lead, 1])
    labels = (*before, *after)
    return Term(value=moves.reshape(sums, [sizes[label] for label in labels], "unfolded"), labels=labels)


def _matrix(moves: Moves, a: Term, b: Term, shared: Sequence[int], out: Sequence[int]) -> Term:
    """The general product, batch first."""
    batch = [label for label in out if label in a.labels and label in b.labels]
    rows, columns = ([label for label in out if label in t.without(batch)] for t in (a, b))
    if rows and columns and out.index(rows[0]) > out.index(columns[0]):
        a, b, rows, columns = b, a, columns, rows
    sizes = {**a.sizes, **b.sizes}
    lead, depth = [sizes[label] for label in batch], prod(sizes[label] for label in shared)
    tall, width = [sizes[label] for label in rows], prod(sizes[label] for label in columns)
    height = tall if tall and not batch else [prod(tall)]  # without a batch the rows' axes are one as they are
    left = moves.reshape(moves.arranged(a, [*batch, *rows, *shared], "left.turned"), [*lead, *height, depth], "left")
    right = moves.reshape(
        moves.arranged(b, [*batch, *shared, *columns], "right.turned"), [*lead, depth, width], "right"
    )
    sums = moves.node("MatMul", [left, right], "sums", [*lead, *height, width])
    labels = (*batch, *rows, *columns)
    return Term(value=moves.reshape(sums, [sizes[label] for label in labels], "unfolded"), labels=labels)
