"""Steps compiled for this machine compute what the interpreter does, and keep the same states."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate import interpreter
from edgegate.graph import shape, states
from edgegate.options import CompileOptions
from edgegate.stages import prove
from edgegate.targets import target
from tests.recurrent.bench import data, integer
from tests.recurrent.table import STEPS

ALWAYS = ("short_conv", "rwkv7", "log_linear", "s_lstm")
"""Compiled in every run of the tests; the others take minutes."""


@pytest.mark.parametrize("name", [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.slow) for n in STEPS])
def test_the_program_says_what_the_interpreter_says(name):
    step = STEPS[name]
    model, _ = integer(step, 64)
    session = target("llvm")(CompileOptions(threads=1))(model, prove(model)).session(threads=1)
    inputs = {str(v.name): v for v in model.graph.inputs}
    held = {before: np.zeros(shape(inputs[before]), np.float32) for before, _ in states(model)}
    feeds = data(step, model, 2, 12)
    for i in range(12):
        given = {key: array[i] for key, array in feeds.items()}
        want = interpreter.run(model, {**given, **held})
        held = {before: {**given, **want}[after] for before, after in states(model)}
        for key, got in session.advance(given).items():
            np.testing.assert_array_equal(got, want[key])
