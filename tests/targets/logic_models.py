"""Integer models of logic, made by hand: what the targets that are nothing but logic are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.logic import GroupSum, Netlist
from edgegate.ops.logic import layered

GIVEN = {
    np.uint8: ir.DataType.UINT8, np.int32: ir.DataType.INT32, np.int64: ir.DataType.INT64,
    np.float32: ir.DataType.FLOAT,
}  # fmt: skip


class Graph:
    """A model under construction."""

    def __init__(self) -> None:
        self._graph = ir.Graph([], [], nodes=[], opset_imports={"": 21, "edgegate": 1}, name="logic")

    def input(self, name: str, dims: Sequence[int], kind: Any = np.uint8) -> ir.Value:
        value = ir.Value(name=name, shape=ir.Shape(dims), type=ir.TensorType(GIVEN[kind]))
        self._graph.inputs.append(value)
        return value

    def constant(self, data: Any) -> ir.Value:
        name = f"c{len(self._graph.initializers)}"
        data = np.asarray(data)
        value = ir.Value(name=name, const_value=ir.tensor(data, name=name), shape=ir.Shape(data.shape))
        value.dtype = ir.DataType.from_numpy(data.dtype)
        self._graph.register_initializer(value)
        return value

    def add(
        self, op_type: str, inputs: Sequence[Any], name: str, dims: Sequence[int], kind: Any = np.uint8, /, **given: Any
    ) -> ir.Value:
        """A node; arrays among its inputs become constants."""
        values = [v if isinstance(v, ir.Value) else self.constant(v) for v in inputs]
        output = ir.Value(name=name, shape=ir.Shape(dims), type=ir.TensorType(GIVEN[kind]))
        own = op_type in ("Logic", "GroupSum", "Scores", "Threshold")
        domain = "edgegate" if own else ""
        self._graph.append(ir.node(op_type, values, given, domain=domain, outputs=[output], name=name))
        return output

    def logic(self, x: ir.Value, netlist: Netlist, name: str) -> ir.Value:
        dims = (*shape(x)[:-1], len(netlist.outputs))
        return self.add("Logic", [x, *layered(netlist)], name, dims)

    def sums(self, x: ir.Value, sums: GroupSum, name: str) -> ir.Value:
        dims = (*shape(x)[:-1], sums.groups)
        return self.add("GroupSum", [x, sums.group, sums.member, sums.weight, sums.offset], name, dims, np.int32)

    def model(self, *outputs: ir.Value) -> ir.Model:
        self._graph.outputs.extend(outputs)
        return ir.Model(self._graph, ir_version=10)


def network(rng: np.random.Generator, inputs: int, layers: Sequence[int], k: int = 2) -> Netlist:
    """Layers wired at random; a third of their gates pass a bit on, as trained ones do."""
    limit = (1 << (1 << k)) - 1
    passing = [sum(1 << i for i in range(1 << k) if i >> j & 1) for j in range(k)]
    passing += [limit ^ table for table in passing]
    fanins, tables, first, width = [], [], 1, inputs
    for size in layers:
        fanins.append(first + rng.integers(0, width, (size, k)))
        drawn = rng.integers(0, 1 << 63, size, dtype=np.uint64) >> np.uint64(max(0, 63 - (1 << k)))
        tables.append(np.where(rng.random(size) < 0.35, rng.choice(np.array(passing, np.uint64), size), drawn))
        first, width = first + width, size
    last = first + np.arange(width)
    outputs = 2 * last + (rng.random(width) < 0.2)
    return Netlist(
        inputs=inputs, fanins=np.concatenate(fanins).astype(np.int32), tables=np.concatenate(tables).astype(np.uint64),
        outputs=outputs.astype(np.int32),
    )  # fmt: skip


def classifier(netlist: Netlist, sums: GroupSum | None, *, batch: int = 1, argmax: bool = False) -> ir.Model:
    """A model that takes bits and gives bits, sums or a class."""
    graph = Graph()
    y = graph.logic(graph.input("x", (batch, netlist.inputs)), netlist, "bits")
    y = y if sums is None else graph.sums(y, sums, "counts")
    if argmax:
        y = graph.add("ArgMax", [y], "class", (batch,), np.int64, axis=-1, keepdims=0)
    return graph.model(y)
