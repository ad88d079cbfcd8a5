"""The graph of a sequence, and that it says what so many steps say."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.graph import Array, states
from edgegate.passes.over_time import over_time
from edgegate.stages import prove
from edgegate.targets._edges import inputs_of, outputs_of
from edgegate.vectors import Vector

LOG = logging.getLogger("edgegate")
FEW = 4
"""Steps that the interpreter goes through at most; the same writer makes the graph of any number."""


def sequence_of(model: ir.Model, steps: int) -> ir.Model:
    """The integer graph of so many steps, proved: one loop around the whole step where no other can be proved.

    Raises:
        CompileError: Neither can be proved.
    """
    try:
        made = over_time(model, steps)
        prove(made)
    except CompileError as e:
        LOG.warning("a sequence runs in one loop around the whole step: split, it cannot be proved: %s", e)
        made = over_time(model, steps, split=False)
        prove(made)
    return made


def check(model: ir.Model, steps: int, tests: Sequence[Vector]) -> None:
    """Run a few steps of a sequence and one by one, all on the interpreter.

    Args:
        model: The integer graph of a step.
        steps: Of a sequence.
        tests: What the steps are fed with, in turn; the states are those of the first.

    Raises:
        AssertionError: They differ in a bit.
    """
    made = sequence_of(model, min(steps, FEW))
    feed, wanted = stepped(model, min(steps, FEW), tests)
    values = interpreter.run(made, feed, keep=True)
    for output, stored in zip(made.graph.outputs, outputs_of(made), strict=True):
        found, want = values[str(stored.name)], wanted[str(output.name)]
        assert found.dtype == want.dtype, f"sequence: {output.name} is {found.dtype}, steps give {want.dtype}"
        assert np.array_equal(found, want), f"sequence: {output.name} differs from that of the steps"


def stepped(model: ir.Model, steps: int, tests: Sequence[Vector]) -> tuple[dict[str, Array], dict[str, Array]]:
    """So many steps, one by one: what the graph of a sequence takes, by stored name, and should give, by output."""
    inputs = {str(v.name): str(s.name) for v, s in zip(model.graph.inputs, inputs_of(model), strict=True)}
    outputs = {str(v.name): str(s.name) for v, s in zip(model.graph.outputs, outputs_of(model), strict=True)}
    pairs = states(model)
    held = {before: tests[0].inputs[before] for before, _ in pairs}
    fresh = [name for name in inputs if name not in held]
    feed = {inputs[name]: np.stack([tests[t % len(tests)].inputs[name] for t in range(steps)]) for name in fresh}
    taken = feed | {inputs[name]: array for name, array in held.items()}
    every: dict[str, list[Array]] = {name: [] for name in outputs}
    for step in range(steps):
        given = {name: feed[name][step] for name in feed} | {inputs[name]: array for name, array in held.items()}
        values = interpreter.run(model, given, keep=True)
        for name in outputs:
            every[name].append(values[outputs[name]])
        held = {before: values[{**inputs, **outputs}[after]] for before, after in pairs}
    after = dict(pairs).values()
    wanted = {name: rows[-1] if name in after else np.stack(rows) for name, rows in every.items()}
    wanted |= {f"{name}.sequence": np.stack(rows) for name, rows in every.items() if name in after}
    return taken, wanted | {f"{before}.last": array for before, array in held.items()}
