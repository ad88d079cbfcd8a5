# mypy: disable-error-code="arg-type"
"""Softmax in integers: near float, masks however they are written, the same bits everywhere."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import edgegate
from edgegate import frontend, interpreter, stages
from edgegate.ops import Interval
from edgegate.ops._softmax import tables
from edgegate.ops.masked_softmax import reference as masked
from edgegate.ops.softmax import bounds, reference
from edgegate.passes import FLOAT, run

CAUSAL = torch.ones(6, 6).tril().bool()
BIAS = torch.linspace(-1, 1, 36).reshape(6, 6)
MASKS = {
    "none": (lambda s: s, "Softmax"),
    "bool": (lambda s: s.masked_fill(~CAUSAL, float("-inf")), "MaskedSoftmax"),
    "where": (lambda s: torch.where(CAUSAL, s, torch.tensor(-1e9)), "MaskedSoftmax"),
    "added": (lambda s: s + torch.where(CAUSAL, 0.0, float("-inf")), "MaskedSoftmax"),
    "windows": (lambda s: s + torch.where(CAUSAL, 0.0, -100.0), "MaskedSoftmax"),
    "added to a bias": (lambda s: s + torch.where(CAUSAL, BIAS, torch.finfo(torch.float32).min), "MaskedSoftmax"),
    "beside what is seen": (
        lambda s: torch.cat([s[..., :5] + torch.where(CAUSAL[:, :5], 0.0, -1e30), s[..., 5:]], -1),
        "MaskedSoftmax",
    ),
    "beside one of its own": (
        lambda s: torch.cat([s[..., :2].masked_fill(s[..., 2:4] > 5, -1e9), s[..., 2:] + BIAS[:, 2:]], -1),
        "MaskedSoftmax",
    ),
    "a bias alone": (lambda s: s + BIAS, "Softmax"),
}


class Mixer(nn.Module):
    """Scores of a layer, which mix the rows of another."""

    def __init__(self, mask, dim=-1):
        super().__init__()
        self.scores, self.value, self.mask, self.dim = nn.Linear(16, 6), nn.Linear(16, 8), mask, dim

    def forward(self, x):
        return torch.softmax(self.mask(self.scores(x) * 3), self.dim) @ self.value(x)


@pytest.mark.parametrize("name", MASKS)
def test_every_mask_is_found_and_every_engine_agrees(name):
    torch.manual_seed(0)
    mask, op = MASKS[name]
    net, data = Mixer(mask), np.random.default_rng(0).standard_normal((129, 6, 16), np.float32)
    artifact = edgegate.compile(net, (torch.zeros(1, 6, 16),), calib={"": data[:128]})
    graph = artifact.files["model.onnx"]
    model = ir.from_proto(onnx.load_from_string(graph))
    assert op in {node.op_type for node in model.graph}
    y, wanted = artifact(data[128:]), net(torch.tensor(data[128:])).detach().numpy()
    assert 10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)) > 30
    feed = {artifact.manifest.inputs[0].name: data[128:]}
    assert np.array_equal(y, onnxruntime.InferenceSession(graph).run(None, feed)[0])
    assert np.array_equal(y, next(iter(interpreter.run(model, feed).values())))


def test_any_axis():
    torch.manual_seed(0)
    net, data = Mixer(lambda s: s, dim=1), np.random.default_rng(0).standard_normal((129, 6, 16), np.float32)
    artifact = edgegate.compile(net, (torch.zeros(1, 6, 16),), calib={"": data[:128]})
    y, wanted = artifact(data[128:]), net(torch.tensor(data[128:])).detach().numpy()
    assert 10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)) > 30


def test_without_data():
    torch.manual_seed(0)
    net, data = Mixer(lambda s: s), np.random.default_rng(0).standard_normal((8, 6, 16), np.float32)
    artifact = edgegate.compile(net, (torch.zeros(1, 6, 16),))
    y, wanted = artifact(data), net(torch.tensor(data)).detach().numpy()
    assert 10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)) > 28


def test_a_value_that_others_read_keeps_its_sum():
    class Both(nn.Module):
        def forward(self, x):
            scores = x * x + BIAS[0]
            return scores, torch.softmax(scores - torch.where(CAUSAL[2], 0.0, 1e9), -1)

    net = Both()
    model = frontend.load(net, example=(torch.zeros(2, 6),))
    run(model, FLOAT, stages.floating)
    assert [n.op_type for n in model.graph].count("MaskedSoftmax") == 1 and len(model.graph.outputs) == 2


@settings(deadline=None, max_examples=60)
@given(
    row=st.integers(1, 300),
    step=st.floats(1e-5, 0.5),
    wide=st.booleans(),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_error_is_that_of_one_rounding(row, step, wide, share, seed):
    rng, dtype = np.random.default_rng(seed), np.int16 if wide else np.int8
    info = np.iinfo(dtype)
    x, keep = rng.integers(info.min, info.max + 1, (5, row)).astype(dtype), rng.random((5, row)) < share
    real = np.where(keep, x * step, -np.inf)
    top = real.max(-1, keepdims=True)
    e = np.where(keep, np.exp(real - np.where(np.isfinite(top), top, 0)), 0)
    wanted = e / np.maximum(e.sum(-1, keepdims=True), 1e-300)
    settings = {"bits": 15, "low": 0, "high": 32767, "to": 5}
    y = masked(x, keep, *tables(step), **settings)
    assert np.abs(y - np.minimum(wanted * 2**15, 32767)).max() <= 0.501
    assert not y[~keep].any()
    whole = masked(x, np.ones_like(keep), *tables(step), **settings)
    assert np.array_equal(reference(x, *tables(step), **settings), whole)


def test_what_is_no_softmax_is_refused():
    coarse, fine = (Interval.of(table) for table in tables(0.1))
    x, rest = Interval(low=-128, high=127, dims=(4, 8)), {"low": 0, "high": 255, "to": 2}
    assert bounds(x, coarse, fine, bits=8, **rest).output.high == 255
    rising = Interval.of(np.arange(256, dtype=np.int32))
    for case in ((x, coarse, rising, 8), (Interval(low=0, high=1 << 16), coarse, fine, 8), (x, coarse, fine, 31)):
        with pytest.raises(OverflowError):
            bounds(*case[:3], bits=case[3], **rest)
    with pytest.raises(OverflowError):
        bounds(x, coarse, fine, bits=8, low=0, high=256, to=2)
