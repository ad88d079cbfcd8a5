"""What each element of a value is a sum of: ``sum_t coefficient[t] * source[index[t]]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.quant.folds._moves import data_inputs, moved
from edgegate.quant.folds._scalars import is_homogeneous
from edgegate.quant.scalar_ops import evaluate

MOST = 2
"""Terms of an element: a rotation has two."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A value as a linear function of another.

    Attributes:
        source: The other value.
        index: int64 [terms, *shape], flat indices of the source's elements.
        coefficient: float64 [terms, *shape]; 0 where an element has fewer terms.
    """

    source: ir.Value
    index: Array
    coefficient: Array

    @property
    def is_move(self) -> bool:
        """Whether each element is one of the source's."""
        return len(self.index) == 1 and bool((self.coefficient == 1).all())


class Trace(dict[ir.Value, Terms]):
    """Values by what they are of one source, found backwards from ``value``: it and all on the way to it."""

    def __init__(self, model: ir.Model, value: ir.Value) -> None:
        super().__init__()
        self._functions = model.functions
        self.value = value
        self.terms = self._of(value)

    def _of(self, value: ir.Value) -> Terms:
        if value not in self:
            node = value.producer()
            found = None if node is None else self._through(node, value)
            self[value] = found or _itself(value)
        return self[value]

    def _through(self, node: ir.Node, value: ir.Value) -> Terms | None:
        origins = moved(node)
        if origins is not None:
            parts = [self._of(v) for v in node.inputs[: data_inputs(node)] if v is not None]
            return _joined(parts, origins[list(node.outputs).index(value)])
        if node.domain == f"{DOMAIN}.unary":
            function = self._functions[node.op_identifier()]
            factor = evaluate(function, np.ones(1)) if is_homogeneous(function, linear=True) else None
            return None if factor is None else _scaled(self._of(_input(node, 0)), np.asarray(factor, np.float64)[0])
        match node.domain, node.op_type:
            case "", "Mul":
                return self._product(node)
            case "", "Neg":
                return _scaled(self._of(_input(node, 0)), -1.0)
            case "", "Add" | "Sub":
                return self._sum(node)
            case "", "RotaryEmbedding":
                return self._rotary(node)
            case _:
                return None

    def _product(self, node: ir.Node) -> Terms | None:
        constants = [i for i, v in enumerate(node.inputs) if array(v) is not None]
        if len(constants) != 1:
            return None
        factor, other = array(node.inputs[constants[0]]), _input(node, 1 - constants[0])
        assert factor is not None, "it was just found"
        return _scaled(self._of(other), factor.astype(np.float64)) if shape(other) == shape(node.outputs[0]) else None

    def _sum(self, node: ir.Node) -> Terms | None:
        if any(v is None or array(v) is not None or shape(v) != shape(node.outputs[0]) for v in node.inputs):
            return None
        first, second = self._of(_input(node, 0)), self._of(_input(node, 1))
        second = _scaled(second, -1.0) if node.op_type == "Sub" else second
        if first.source is not second.source or len(first.index) + len(second.index) > MOST:
            return None
        return Terms(
            source=first.source,
            index=np.concatenate([first.index, second.index]),
            coefficient=np.concatenate([first.coefficient, second.coefficient]),
        )

    def _rotary(self, node: ir.Node) -> Terms | None:
        """``RotaryEmbedding`` of opset 23 on [batch, heads, length, size], the whole of each head turned."""
        tables = [array(v) for v in node.inputs[1:3]]
        positions = array(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
        dims = shape(_input(node, 0))
        free = len(node.inputs) > 3 and node.inputs[3] is not None and positions is None
        if free or len(dims) != 4 or any(t is None or t.shape[-1] * 2 != dims[3] for t in tables):
            return None
        cos, sin = (_table(t if positions is None else t[positions], dims, node) for t in tables if t is not None)
        inner = self._of(_input(node, 0))
        if len(inner.index) > 1:
            return None
        partner = np.roll(np.arange(dims[3]), dims[3] // 2)
        sign = np.repeat([-1.0, 1.0], dims[3] // 2)
        if attribute(node, "interleaved", 0):
            partner, sign = np.arange(dims[3]) ^ 1, np.tile([-1.0, 1.0], dims[3] // 2)
        return Terms(
            source=inner.source,
            index=np.concatenate([inner.index, inner.index[..., partner]]),
            coefficient=np.concatenate([inner.coefficient * cos, inner.coefficient[..., partner] * sin * sign]),
        )


def _table(half: Array, dims: tuple[int, ...], node: ir.Node) -> Array:
    """[batch, 1, length, size] from a table of one entry for each pair."""
    interleaved = attribute(node, "interleaved", 0)
    full = half.repeat(2, -1) if interleaved else np.concatenate([half, half], -1)
    return np.broadcast_to(full[:, None].astype(np.float64), (dims[0], 1, dims[2], dims[3]))


def _input(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None, "the op has this input"
    return value


def _itself(value: ir.Value) -> Terms:
    dims = (1, *shape(value))
    return Terms(
        source=value, index=np.arange(int(np.prod(dims, dtype=np.int64))).reshape(dims), coefficient=np.ones(dims)
    )


def _scaled(terms: Terms, factor: Array | float) -> Terms:
    return Terms(source=terms.source, index=terms.index, coefficient=terms.coefficient * factor)


def _joined(parts: list[Terms], origins: list[Array]) -> Terms | None:
    """A move of several values, each of which gives the elements whose origin is not -1."""
    if len({part.source for part in parts}) != 1 or (np.max(origins, axis=0) < 0).any():
        return None
    count = max(len(part.index) for part in parts)
    index = np.zeros((count, *origins[0].shape), np.int64)
    coefficient = np.zeros(index.shape)
    for part, origin in zip(parts, origins, strict=True):
        mine = origin >= 0
        for t in range(count):  # a term that is missing is none of the element's first
            there = t < len(part.index)
            index[t][mine] = part.index[t if there else 0].ravel()[origin[mine]]
            coefficient[t][mine] = part.coefficient[t].ravel()[origin[mine]] if there else 0.0
    return Terms(source=parts[0].source, index=index, coefficient=coefficient)
