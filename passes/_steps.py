"""Writing float nodes in the place of one: layers, scalar functions, loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import LAYER, SOURCE, Array, array, constant, insert, shape
from edgegate.stages.loops import LOOP
from edgegate.stages.scans import mark

Dims = tuple[int, ...]


class Steps:
    """Nodes that come to stand before ``node``, each named after it.

    Args:
        model: Holds ``node``; constants go there.
        node: What they are to take the place of. Its layer and source line are theirs.
    """

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.model, self.node = model, node
        self.prefix = str(node.name or node.outputs[0].name)
        self._count = 0

    def name(self, part: str) -> str:
        """A name that no other value has, as ``node`` has one of its own."""
        self._count += 1
        return f"{self.prefix}.{part}.{self._count}"

    def op(
        self, op_type: str, inputs: Sequence[ir.Value], dims: Dims, name: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:  # fmt: skip
        """One standard node with one float output of shape ``dims``."""
        return insert(
            self.node, op_type, inputs, attributes, domain="", name=self.name(name), dtype=ir.DataType.FLOAT, dims=dims
        )

    def constant(self, data: Array, name: str) -> ir.Value:
        """A new initializer."""
        return constant(self.model, self.name(name), data)

    def floats(self, data: Any, name: str) -> ir.Value:
        """A new initializer of float32."""
        return self.constant(np.asarray(data, np.float32), name)

    def ints(self, data: Sequence[int], name: str) -> ir.Value:
        """A new initializer of int64: a shape, axes or indices."""
        return self.constant(np.array(data, np.int64), name)

    def zeros(self, dims: Dims, name: str) -> ir.Value:
        """A new initializer of zeros."""
        return self.floats(np.zeros(dims), name)

    def both(self, op_type: str, a: ir.Value, b: ir.Value, name: str) -> ir.Value:
        """A node of two values, element by element."""
        return self.op(op_type, [a, b], tuple(np.broadcast_shapes(shape(a), shape(b))), name)

    def linear(self, x: ir.Value, weight: Array, bias: Array | None, name: str) -> ir.Value:
        """``x [..., K] @ weight [N, K].T + bias [N]``."""
        dims = (*shape(x)[:-1], len(weight))
        matrix = self.floats(weight.T, f"{name}.weight")
        product = self.op("MatMul", [x, matrix], dims, f"{name}.product" if bias is not None else name)
        return product if bias is None else self.op("Add", [product, self.floats(bias, f"{name}.bias")], dims, name)

    def transpose(self, x: ir.Value, perm: Dims, name: str) -> ir.Value:
        """The axes of ``x`` in another order."""
        return self.op("Transpose", [x], tuple(shape(x)[p] for p in perm), name, {"perm": list(perm)})

    def reshape(self, x: ir.Value, dims: Dims, name: str) -> ir.Value:
        """``x`` with other axes."""
        return self.op("Reshape", [x, self.ints(dims, f"{name}.dims")], dims, name)

    def pick(self, x: ir.Value, index: int, name: str) -> ir.Value:
        """``x[index]``."""
        dims, data = shape(x)[1:], array(x)
        if data is not None:
            return self.floats(data[index], name)
        if shape(x)[0] == 1:
            return self.reshape(x, dims, name)
        return self.op("Gather", [x, self.constant(np.array(index, np.int64), "index")], dims, name, {"axis": 0})

    def stack(self, parts: Sequence[ir.Value], axis: int, name: str) -> ir.Value:
        """The parts, which have one shape, side by side on a new axis."""
        dims = shape(parts[0])
        raised = [self.reshape(p, (*dims[:axis], 1, *dims[axis:]), f"{name}.part") for p in parts]
        if len(raised) == 1:
            return raised[0]
        return self.op("Concat", raised, (*dims[:axis], len(parts), *dims[axis:]), name, {"axis": axis})

    def begin(
        self, name: str, states: Sequence[ir.Value], sequences: Sequence[ir.Value], reverse: Sequence[int]
    ) -> tuple[list[ir.Value], list[ir.Value]]:  # fmt: skip
        """Begin the loop ``name``: the states in a step, and an element of each sequence."""
        dims = [*map(shape, states), *(shape(s)[1:] for s in sequences)]
        found = self._mark("Begin", name, len(states), reverse, [*states, *sequences], dims)
        return found[: len(states)], found[len(states) :]

    def end(
        self, name: str, states: Sequence[ir.Value], elements: Sequence[ir.Value], reverse: Sequence[int], count: int
    ) -> tuple[list[ir.Value], list[ir.Value]]:  # fmt: skip
        """End the loop ``name`` after ``count`` steps: the final states, and the sequences of ``elements``."""
        dims = [*map(shape, states), *((count, *shape(e)) for e in elements)]
        found = self._mark("End", name, len(states), reverse, [*states, *elements], dims)
        return found[: len(states)], found[len(states) :]

    def _mark(
        self, kind: str, name: str, states: int, reverse: Sequence[int], inputs: list[ir.Value], dims: list[Dims]
    ) -> list[ir.Value]:  # fmt: skip
        self.model.opset_imports.setdefault(LOOP, 1)
        full = f"{self.prefix}.{name}"
        names = [self.name(f"{name}.{kind.lower()}{i}") for i in range(len(dims))]
        kinds = [v.type for v in inputs]
        outputs = [ir.Value(name=n, shape=ir.Shape(d), type=t) for n, d, t in zip(names, dims, kinds, strict=True)]
        made = mark(kind, full, states, list(reverse), [*inputs], outputs)
        kept = self.node.metadata_props
        made.metadata_props.update({k: kept[k] for k in (LAYER, SOURCE) if k in kept})
        graph = self.node.graph
        assert graph is not None, "the node was removed from its graph"
        graph.insert_before(self.node, [made])
        return outputs
