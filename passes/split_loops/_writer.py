"""Values of a step over all steps, and the moves that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, shape
from edgegate.passes.split_loops._forms import batch
from edgegate.passes.split_loops._plan import Plan
from edgegate.passes.split_loops._queues import Queue


class Writer:
    """What is known of the values of one loop, all steps of each.

    Attributes:
        sequences: Value of a step -> all steps of it, with time in front.
        initial: State in a step -> what it is before the first.
        after: State in a step -> what it is in the next one.
        rows: Value of a step -> all steps of it, as :func:`edgegate.passes.split_loops._forms.batch` says.
        whole: The state in a step that is a queue -> all its rows.
    """

    def __init__(self, model: ir.Model, plan: Plan) -> None:
        self.model, self.loop, self.plan, self.steps = model, (loop := plan.loop), plan, plan.steps
        self.rows: dict[ir.Value, ir.Value] = {}
        self.whole: dict[ir.Value, ir.Value] = {}
        given = [v for v in loop.begin.inputs if v is not None]
        self.initial = dict(zip(loop.begin.outputs[: loop.states], given[: loop.states], strict=True))
        self.sequences = dict(zip(loop.begin.outputs[loop.states :], given[loop.states :], strict=True))
        self.after = dict(loop.carried())
        self.constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self.names = {v.name for n in model.graph for v in n.outputs} | set(model.graph.initializers)
        self.names |= {v.name for v in model.graph.inputs}

    def node(
        self, kind: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any], name: str,
        dims: Sequence[int], dtype: ir.DataType | None,
    ) -> ir.Value:  # fmt: skip
        """A standard node of one output, before the End."""
        assert dtype is not None, "every value of an integer model has a type"
        output = ir.Value(name=self.unique(name), shape=ir.Shape(dims), type=ir.TensorType(dtype))
        self.put(ir.node(kind, inputs, attributes, outputs=[output], name=output.name))
        return output

    def put(self, node: ir.Node) -> None:
        """Let a node stand before the End."""
        self.model.graph.insert_before(self.loop.end, [node])

    def unique(self, name: str) -> str:
        """A name that no value has."""
        found = next(n for i in range(len(self.names) + 1) if (n := f"{name}.{i}" if i else name) not in self.names)
        self.names.add(found)
        return found

    def constant(self, data: Array) -> ir.Value:
        """An initializer; equal ones are one."""
        key = (data.dtype.name, data.shape, data.tobytes())
        if key not in self.constants:
            name = self.unique(f"{self.loop.name}.constant")
            self.constants[key] = constant(self.model, name, data)
        return self.constants[key]

    def reshaped(self, value: ir.Value, dims: Sequence[int], name: str, *, always: bool = False) -> ir.Value:
        """The value with these dims; ``always``: as a value of its own."""
        if shape(value) == tuple(dims) and not always:
            return value
        target = self.constant(np.array(dims, np.int64))
        return self.node("Reshape", [value, target], {"allowzero": 0}, name, dims, value.dtype)

    def taken(self, value: ir.Value, places: Array, axis: int, name: str) -> ir.Value:
        """Rows of a value."""
        dims = (*shape(value)[:axis], *places.shape, *shape(value)[axis + 1 :])
        given = [value, self.constant(places.astype(np.int64))]
        return self.node("Gather", given, {"axis": axis}, name, dims, value.dtype)

    def turned(self, value: ir.Value, perm: Sequence[int], name: str) -> ir.Value:
        """The value with its axes in another order."""
        dims = [shape(value)[p] for p in perm]
        return self.node("Transpose", [value], {"perm": list(perm)}, name, dims, value.dtype)

    def all_rows(self, value: ir.Value) -> ir.Value:
        """All steps of a value of a step."""
        if value not in self.rows:
            self.rows[value] = self._all_rows(value)
        return self.rows[value]

    def _all_rows(self, value: ir.Value) -> ir.Value:
        if value in self.plan.views:
            return self._window(self.plan.views[value], value)
        if value in self.sequences:
            return self.reshaped(self.sequences[value], batch(shape(value), self.steps), f"{value.name}.rows")
        if value in self.initial:
            return self._delayed(value)
        return self._repeated(value)

    def sequence(self, value: ir.Value, *, always: bool = False) -> ir.Value:
        """All steps of a value, with time in front; ``always``: as a value of its own."""
        if value in self.sequences and not always:
            return self.sequences[value]
        dims = (self.steps, *shape(value))
        return self.reshaped(self.all_rows(value), dims, f"{value.name}.steps", always=always)

    def _repeated(self, value: ir.Value) -> ir.Value:
        """As many copies of what is the same in all steps."""
        dims = batch(shape(value), self.steps)
        one = (1, *dims[1:])
        if (data := array(value)) is not None:
            return self.constant(np.ascontiguousarray(np.broadcast_to(data.reshape(one), dims)))
        given = self.reshaped(value, one, f"{value.name}.one")
        return self.taken(given, np.zeros(self.steps, np.int64), 0, f"{value.name}.rows")

    def _delayed(self, state: ir.Value) -> ir.Value:
        """A state that is in each step what something else was in the step before."""
        first, later = self.initial[state], self.all_rows(self.after[state])
        dims = batch(shape(state), self.steps)
        one = self.reshaped(first, (1, *dims[1:]), f"{state.name}.first")
        rest = self.taken(later, np.arange(self.steps - 1), 0, f"{state.name}.rest")
        return self.node("Concat", [one, rest], {"axis": 0}, f"{state.name}.rows", dims, state.dtype)

    def rows_of(self, queue: Queue) -> ir.Value:
        """All rows of a queue, those before the first step first, one behind the other on the first axis."""
        state, axis = queue.before, queue.axis
        if state not in self.whole:
            dims, others = list(shape(queue.rows)), [a for a in range(len(shape(state))) if a != axis]
            moved = self.turned(
                self.sequence(queue.rows), [0, axis + 1, *(a + 1 for a in others)], f"{state.name}.more"
            )
            rest = [dims[a] for a in others]
            later = self.reshaped(moved, (self.steps * queue.pace, *rest), f"{state.name}.later")
            given = [self.turned(self.initial[state], [axis, *others], f"{state.name}.first"), later]
            count = queue.length + self.steps * queue.pace
            name = f"{state.name}.all"
            self.whole[state] = self.node("Concat", given, {"axis": 0}, name, (count, *rest), state.dtype)
        return self.whole[state]

    def whole_of(self, queue: Queue, rows: ir.Value) -> ir.Value:
        """Rows of a queue where the state has them."""
        axis, rank = queue.axis, len(shape(rows))
        return self.turned(rows, [*range(1, axis + 1), 0, *range(axis + 1, rank)], f"{queue.before.name}.whole")

    def _window(self, queue: Queue, value: ir.Value) -> ir.Value:
        """What each step sees of a queue."""
        places = np.arange(self.steps)[:, None] * queue.pace + np.array(queue.views[value], np.int64)
        found = self.taken(self.rows_of(queue), places, 0, f"{value.name}.windows")
        perm = [0, *range(2, queue.axis + 2), 1, *range(queue.axis + 2, len(shape(found)))]
        seen = self.turned(found, perm, f"{value.name}.seen")
        return self.reshaped(seen, batch(shape(value), self.steps), f"{value.name}.rows")

    def window_at(self, value: ir.Value, whole: ir.Value, number: ir.Value) -> ir.Value:
        """What a step sees of a queue, in a loop that counts its steps."""
        queue = self.plan.views[value]
        places, rows = np.array(queue.views[value], np.int64), number
        if queue.pace > 1:
            pace = self.constant(np.array([queue.pace], np.int64))
            rows = self.node("Mul", [number, pace], {}, f"{value.name}.start", (1,), number.dtype)
        shifted = [rows, self.constant(places)]
        at = self.node("Add", shifted, {}, f"{value.name}.places", places.shape, number.dtype)
        return self.node("Gather", [whole, at], {"axis": queue.axis}, f"{value.name}.seen", shape(value), value.dtype)

    def like(self, value: ir.Value, name: str, dims: Sequence[int]) -> ir.Value:
        """A new value of the same type."""
        return ir.Value(name=self.unique(name), shape=ir.Shape(dims), type=value.type)

    def last(self, state: ir.Value) -> ir.Value:
        """A state after the last step, which no loop hands on."""
        if state in self.plan.queues:
            queue = self.plan.queues[state]
            places = np.arange(queue.length) + self.steps * queue.pace
            return self.whole_of(queue, self.taken(self.rows_of(queue), places, 0, f"{state.name}.left"))
        row = self.taken(self.all_rows(self.after[state]), np.array([self.steps - 1]), 0, f"{state.name}.row")
        return self.reshaped(row, shape(state), f"{state.name}.last", always=True)
