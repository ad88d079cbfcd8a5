"""Families compiled for this machine compute what the interpreter does."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.options import CompileOptions
from edgegate.runtime import Session
from edgegate.stages import prove
from edgegate.targets import target
from tests.families.bench import answers, inputs, integer
from tests.families.table import NETS

COMPILED = (
    "cbam", "attention_unet", "enlarging", "gcu", "moves", "moeg", "blast", "monarch", "pruned", "maxim", "nalu",
)  # fmt: skip
"""Compiled in every run of the tests; the others take minutes."""


@pytest.mark.parametrize("name", [n if n in COMPILED else pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_the_program_says_what_the_interpreter_says(name):
    model = integer(name, "alone")
    artifact = target("llvm")(CompileOptions(threads=1))(model, prove(model))
    session, (key,) = Session(artifact, threads=1), (str(v.name) for v in model.graph.inputs)
    feeds = inputs(model, 4, 3)
    feeds += [{key: feeds[0][key] * np.float32(30)}]
    for feed, want in zip(feeds, answers(model, feeds), strict=True):
        (got,) = session.run(feed).values()
        np.testing.assert_array_equal(got, want)
