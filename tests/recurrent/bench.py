"""From a family's step to its integers, and both over time: one definition, two engines, and torch in float64.

Print the table over 1,000 steps: ``python -m tests.recurrent.bench`` (ten minutes), or of some by name.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgegate import frontend, interpreter, passes, stages
from edgegate.calibration import calibration
from edgegate.graph import Array, shape, states
from edgegate.options import CompileOptions
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.stages import prove
from edgegate.targets import target
from tests.families.bench import session as onnx_session
from tests.recurrent.ceilings import ratio
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
        ceiling: Of torch with weights of 8 bits.
        storages: What its states are stored in.
        seconds: Of a step of the program in a session; 0 without one.
    """

    sqnr: float
    ceiling: float
    storages: list[str]
    seconds: float = 0.0


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


def rounded(step: Step) -> nn.Module:
    """The module in float64, its weights of 8 bits with a scale for each output channel."""
    made = module(step).double()
    for part in made.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            scale = part.weight.data.abs().amax(tuple(range(1, part.weight.ndim)), keepdim=True) / 127
            part.weight.data = (part.weight.data / scale).round() * scale
    return made


def floats(net: nn.Module, step: Step, feeds: dict[str, Array]) -> Array:
    """The first output over time in float64."""
    held, rows = [torch.zeros(d, dtype=torch.float64) for d in step.states], []
    with torch.no_grad():
        for given in zip(*feeds.values(), strict=True):
            y, *held = net(*(torch.from_numpy(x).double() for x in given), *held)
            rows.append(y.numpy())
    return np.stack(rows)


def run(name: str, steps: int, *, program: bool = False) -> Run:
    """A family's step over time; compiled for this machine too, on request.

    Raises:
        AssertionError: ONNX Runtime or the program differs from the interpreter in a bit, or a state is not stored as
            it comes back.
    """
    step = STEPS[name]
    model, scheme = integer(step, max(steps, CALIBRATED))
    session = target("llvm")(CompileOptions(threads=1))(model, prove(model)).session(threads=1) if program else None
    pairs, engine, feeds = states(model), onnx_session(model), data(step, model, 2, steps)
    dims = {str(v.name): shape(v) for v in model.graph.inputs}
    held = {before: np.zeros(dims[before], np.float32) for before, _ in pairs}
    names, rows, seconds = [str(v.name) for v in model.graph.outputs], [], []
    for i in range(steps):
        given = {key: array[i] for key, array in feeds.items()}
        found = interpreter.run(model, {**given, **held})
        rows.append(found[names[0]])
        if i % CHECKED == 0:
            _same(dict(zip(names, engine.run(names, {**given, **held}), strict=True)), found)
        if session is not None:
            start = time.perf_counter()
            made = session.advance(given)
            seconds.append(time.perf_counter() - start)
            _same(made, found)
        held = {before: {**given, **found}[after] for before, after in pairs}
    assert all(scheme.values[before] == scheme.values[after] for before, after in pairs)
    want = floats(module(step).double(), step, feeds)
    return Run(
        sqnr=ratio(want, np.stack(rows)), ceiling=ratio(want, floats(rounded(step), step, feeds)),
        storages=[scheme.values[before].dtype for before, _ in pairs], seconds=float(np.median(seconds or [0])),
    )  # fmt: skip


def check(name: str, steps: int, *, program: bool = False) -> None:
    """Raises AssertionError where :func:`run` does, or where it finds something else than the table says."""
    found = run(name, steps, program=program)
    assert set(found.storages) == {STEPS[name].stored}, found
    assert found.sqnr > STEPS[name].floor, found


def _same(found: dict[str, Array], wanted: dict[str, Array]) -> None:
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name])


if __name__ == "__main__":
    steps = 1000
    print(f"{steps:,} steps:    SQNR  floor  float with 8-bit weights  states  a step of the program")
    for name in sys.argv[1:] or STEPS:
        result = run(name, steps, program=True)
        figures = f"{result.sqnr:5.1f} dB  {STEPS[name].floor:5}  {result.ceiling:21.1f} dB  {result.storages[0]:6}"
        print(f"{name:16} {figures}  {result.seconds * 1e6:8.0f} us", flush=True)
