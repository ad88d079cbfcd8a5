"""LogSoftmax in integers: near float whatever the scales, the same bits everywhere, its domain guarded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import edgegate
from edgegate import interpreter
from edgegate.ops import Interval
from edgegate.ops._softmax import tables
from edgegate.ops.log_softmax import bounds, logarithms, reference


class Scores(nn.Module):
    """A layer, and the logarithms of its softmax along an axis."""

    def __init__(self, dim):
        super().__init__()
        self.layer, self.dim = nn.Linear(16, 12), dim

    def forward(self, x):
        return F.log_softmax(self.layer(x) * 4, self.dim)


@pytest.mark.parametrize(("dim", "calibrated"), [(-1, True), (1, True), (-1, False)])
def test_a_net_ends_in_it(dim, calibrated):
    torch.manual_seed(0)
    net, data = Scores(dim), np.random.default_rng(0).standard_normal((129, 6, 16), np.float32)
    artifact = edgegate.compile(net, (torch.zeros(1, 6, 16),), calib={"": data[:128]} if calibrated else None)
    y, wanted = artifact(data[128:]), net(torch.tensor(data[128:])).detach().numpy()
    assert 10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)) > (37 if calibrated else 35)
    graph = artifact.files["model.onnx"]
    feed = {artifact.manifest.inputs[0].name: data[128:]}
    assert np.array_equal(y, onnxruntime.InferenceSession(graph).run(None, feed)[0])
    assert np.array_equal(y, next(iter(interpreter.run(ir.from_proto(onnx.load_from_string(graph)), feed).values())))


def settled(step, to):
    """Attributes for an input of scale ``step`` and an int16 result of scale ``to``."""
    unit = (1 << 40) / Fraction(to)
    slopes = {"slope": round(unit * Fraction(step)), "nat": round(unit / (1 << 30)), "shift": 40}
    return {**slopes, "output_zero_point": 0, "low": -32768, "high": 0, "to": 5}


@settings(deadline=None, max_examples=80)
@given(
    row=st.integers(1, 3000),
    step=st.floats(1e-4, 0.5),
    wide=st.booleans(),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_error_is_that_of_one_rounding(row, step, wide, share, seed):
    rng, dtype = np.random.default_rng(seed), np.int16 if wide else np.int8
    info = np.iinfo(dtype)
    x = np.rint(rng.uniform(info.min, info.max, (3, row)) * share).astype(dtype)
    wanted = torch.log_softmax(torch.tensor(x * step, dtype=torch.float64), -1).numpy()
    to = max(float(-wanted.min()), 1.0) / 32000
    y = reference(x, *tables(step), logarithms(), **settled(step, to))
    assert np.abs(y - wanted / to).max() <= 0.6


def test_what_is_no_log_softmax_is_refused():
    coarse, fine, logs = (Interval.of(table) for table in (*tables(0.1), logarithms()))
    x, rest = Interval(low=-128, high=127, dims=(4, 8)), settled(0.1, 0.01)
    assert bounds(x, coarse, fine, logs, **rest).output.high == 0
    falling = Interval.of(logarithms()[::-1].copy())
    short = Interval.of(logarithms()[:-1].copy())
    for table, change in (
        (falling, {}),
        (short, {}),
        (logs, {"shift": 63}),
        (logs, {"shift": 0}),
        (logs, {"slope": -1}),
        (logs, {"slope": 1 << 55}),
        (logs, {"nat": 1 << 32}),
        (logs, {"high": 1 << 15}),
    ):
        with pytest.raises(OverflowError):
            bounds(x, coarse, fine, table, **{**rest, **change})
