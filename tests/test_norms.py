"""Norms over activations in integers: near float, and the same bits everywhere."""

from __future__ import annotations

from fractions import Fraction

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
from edgegate import interpreter
from edgegate.ops import Interval
from edgegate.ops.row_norm import bounds, reference
from edgegate.passes.to_integer import norms
from edgegate.quant.fixed_point import fixed_point


class Block(nn.Module):
    """A layer before and a layer behind a norm, as in any transformer."""

    def __init__(self, norm):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(16, 32), norm, nn.Linear(32, 16)

    def forward(self, x):
        return self.second(self.norm(self.first(x)))


class Unit(nn.Module):
    def forward(self, x):
        return nn.functional.normalize(x, dim=-1)


FLOORS = {"layer": (nn.LayerNorm(32), 30), "rms": (nn.RMSNorm(32), 30), "l2": (Unit(), 30)}


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("name", FLOORS)
def test_a_block(name, calibrated):
    torch.manual_seed(0)
    norm, floor = FLOORS[name]
    net = Block(norm)
    data = np.random.default_rng(0).standard_normal((257, 6, 16), np.float32)
    calib = {"": data[:256]} if calibrated else None
    artifact = edgegate.compile(net, (torch.zeros(1, 6, 16),), calib=calib)
    y, wanted = artifact(data[256:]), net(torch.tensor(data[256:])).detach().numpy()
    assert 10 * np.log10(np.sum(wanted**2) / np.sum((y - wanted) ** 2)) > floor
    graph = artifact.files["model.onnx"]
    feed = {artifact.manifest.inputs[0].name: data[256:]}
    assert np.array_equal(y, onnxruntime.InferenceSession(graph).run(None, feed)[0])
    (values,) = interpreter.run(ir.from_proto(onnx.load_from_string(graph)), feed).values()
    assert np.array_equal(y, values)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 400),
    centre=st.integers(0, 1),
    wide=st.booleans(),
    level=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_error_is_that_of_one_rounding(rows, centre, wide, level, seed):
    dtype = np.int16 if wide else np.int8
    top = np.iinfo(dtype).max
    x = np.rint(np.random.default_rng(seed).uniform(-1, 1, (4, rows)) * top * level).astype(dtype)
    real = x.astype(np.float64) - centre * x.mean(-1, keepdims=True)
    length = np.sqrt(np.square(real).sum(-1, keepdims=True))
    wanted = np.where(length > 0, real / np.where(length > 0, length, 1), 0) * 30000
    parts = centre * rows
    multiplier, shift = fixed_point(Fraction(30000) / Fraction(max(parts, 1) ** 0.5))  # m / sqrt(W) is sqrt(K) too long
    factor = {"zero_point": 0, "parts": parts, "epsilon": 0, "multiplier": multiplier, "shift": shift}
    y = reference(x, **factor, output_zero_point=0, low=-32768, high=32767, to=5)
    assert np.abs(y - wanted).max() <= 0.51


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("size", [1 << 15, 100003, 1 << 20])
def test_rows_too_long_for_an_exact_mean(size, wide):
    dtype, name = (np.int16, "int16") if wide else (np.int8, "int8")
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    x = np.stack([rng.normal(-0.7 * info.max, 0.1 * info.max, size), rng.uniform(-1, 1, size) * info.max])
    x = np.clip(np.rint([*x, np.full(size, info.min), np.arange(size) == 5]), info.min, info.max).astype(dtype)
    parts = norms._parts(size, name)
    assert parts == size or wide
    multiplier, shift = fixed_point(Fraction(1000) * Fraction(size**0.5) / Fraction(parts**0.5))
    factor = {"zero_point": 0, "parts": parts, "epsilon": 0, "multiplier": multiplier, "shift": shift}
    rest = {"output_zero_point": 0, "low": -32768, "high": 32767, "to": 5}
    assert bounds(Interval(low=int(info.min), high=int(info.max), dims=x.shape), **factor, **rest).output.high == 32767
    y, real = reference(x, **factor, **rest), x.astype(np.float64)
    off = real - real.mean(-1, keepdims=True)
    wanted = off / np.maximum(np.sqrt(np.square(off).mean(-1, keepdims=True)), 1e-30) * 1000
    assert np.abs(y - np.clip(wanted, -32768, 32767))[[0, 1, 2]].max() <= 0.51
    assert np.array_equal(y[3], np.where(np.arange(size) == 5, min(32767, round(wanted[3, 5])), y[3, 0]))


def test_what_overflows_is_refused():
    factor = {"zero_point": 0, "epsilon": 0, "multiplier": 1 << 30, "shift": 20, "output_zero_point": 0}
    rest = {**factor, "low": -128, "high": 127, "to": 3}
    assert (
        bounds(Interval(low=-32768, high=32767, dims=(1, (1 << 15) - 1)), parts=(1 << 15) - 1, **rest).output.high
        == 127
    )
    for dims, parts, change in (
        ((1, 1 << 15), 1 << 15, {}),
        ((1, 1 << 20), 1 << 14, {}),
        ((1, 1 << 31), 1, {}),
        ((1, 8), 9, {}),
        ((1, 8), -1, {}),
        ((1, 8), 0, {"shift": 33}),
        ((1, 8), 0, {"multiplier": 1}),
        ((1, 8), 0, {"epsilon": 1 << 62}),
        ((1, 8), 0, {"high": 128}),
        ((), 0, {}),
    ):
        with pytest.raises(OverflowError):
            bounds(Interval(low=-32768, high=32767, dims=dims), parts=parts, **{**rest, **change})
