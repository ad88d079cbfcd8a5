"""From a family's step to its integers, and both over time: one definition, two engines, and torch in float64.

Print the table over 1,000 steps: ``python -m tests.recurrent.bench`` (ten minutes), or of some by name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch

from edgegate import frontend, interpreter, passes, stages
from edgegate.calibration import calibration
from edgegate.graph import Array, shape, states
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from tests.families.bench import session
from tests.recurrent.rank_one import lowest_bit
from tests.recurrent.table import STEPS, Step, module

CALIBRATED = 256
"""Least steps of the calibration."""
CHECKED = 8
"""ONNX Runtime repeats one step of so many."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a step did over time.

    Attributes:
        sqnr: Of its first output against torch in float64, over all steps, in dB.
        storages: What its states are stored in.
    """

    sqnr: float
    storages: list[str]


def data(step: Step, model: ir.Model, seed: int, steps: int) -> dict[str, Array]:
    """Inputs over time, N(0, 1), and the flags of each step; none of the states."""
    rng, count = np.random.default_rng(seed), len(step.flags)
    flags = [np.stack([lowest_bit(i + 1, dims[-1])[k].numpy() for i in range(steps)]) for k, dims in
             enumerate(step.flags)]  # fmt: skip
    inputs = [str(v.name) for v in model.graph.inputs][: 1 + count]
    return dict(zip(inputs, [rng.standard_normal((steps, *step.shape), np.float32), *flags], strict=True))


def floating(step: Step) -> ir.Model:
    """The model after the float passes, its states named."""
    example = tuple(torch.zeros(dims) for dims in (step.shape, *step.flags, *step.states))
    count = 1 + len(step.flags)
    pairs = [f"{count + i}={1 + i}" for i in range(len(step.states))]
    model = frontend.load(module(step), example=example, states=pairs)
    passes.run(model, passes.FLOAT, stages.floating)
    return model


def integer(step: Step, steps: int) -> tuple[ir.Model, Scheme]:
    """The integer model, calibrated over so many steps."""
    model = floating(step)
    scheme = quantize_scheme(model, calibration(model, data(step, model, 1, steps), 1), Recipe())
    to_integer(scheme)(model)
    passes.run(model, passes.INTEGER, stages.integer)
    return model, scheme


def run(name: str, steps: int) -> Run:
    """A family's step over time.

    Raises:
        AssertionError: ONNX Runtime differs from the interpreter in a bit, or a state is not stored as it comes back.
    """
    step = STEPS[name]
    model, scheme = integer(step, max(steps, CALIBRATED))
    pairs, engine, exact = states(model), session(model), module(step).double()
    dims = {str(v.name): shape(v) for v in model.graph.inputs}
    held = {before: np.zeros(dims[before], np.float32) for before, _ in pairs}
    real = [torch.zeros(d, dtype=torch.float64) for d in step.states]
    names, error, power = [str(v.name) for v in model.graph.outputs], 0.0, 0.0
    feeds = data(step, model, 2, steps)
    for i in range(steps):
        given = {key: array[i] for key, array in feeds.items()}
        found = interpreter.run(model, {**given, **held})
        if i % CHECKED == 0:
            _same(found, dict(zip(names, engine.run(names, {**given, **held}), strict=True)))
        held = {before: {**given, **found}[after] for before, after in pairs}
        with torch.no_grad():
            want, *real = exact(*(torch.from_numpy(x).double() for x in given.values()), *real)
        error, power = error + float(np.square(found[names[0]] - want.numpy()).sum()), power + float((want**2).sum())
    assert all(scheme.values[before] == scheme.values[after] for before, after in pairs)
    return Run(sqnr=10 * float(np.log10(power / error)), storages=[scheme.values[before].dtype for before, _ in pairs])


def _same(found: dict[str, Array], again: dict[str, Array]) -> None:
    for name, array in found.items():
        np.testing.assert_array_equal(again[name], array)


if __name__ == "__main__":
    for name in sys.argv[1:] or STEPS:
        result = run(name, 1000)
        print(f"{name:16} {result.sqnr:5.1f} dB  {', '.join(result.storages)}", flush=True)
