"""Attention with gates and biases, in integers: one answer from every engine, near that of float."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import compiler, interpreter, runtime
from edgegate.options import CompileOptions
from edgegate.stages import Proof
from edgegate.targets.llvm import llvm
from tests.attention_nets import LENGTH, NETS, WIDTH, made
from tests.test_integer_graphs import check_every_value, same

FLOORS = {
    "plain": 32.5, "causal": 35, "windowed": 32, "padded": 32.5, "padded_causal": 35, "padded_twice": 35, "grouped": 36,
    "rotary": 35, "placed": 35, "interleaved": 31, "gated": 35, "head_gated": 35.5, "forgetting": 31.5, "flash": 31.5,
    "flash_linear": 33, "linear": 31, "causal_linear": 33, "differential": 31.5,
}  # fmt: skip
"""Name -> dB of signal over the integers' error on inputs that calibration has not seen."""
FLAGS = {"padded": "present", "padded_causal": "present", "padded_twice": "present", "placed": "places"}
"""The second input of those that have one."""


class Beside(nn.Module):
    """Every row, side by side: they share the tokens, and are exported and compiled once."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({name: made(name)[0] for name in NETS})

    def forward(self, x: Any, present: Any, places: Any) -> tuple[Any, ...]:
        second = {"present": present, "places": places}
        return tuple(net(x, *[second[FLAGS[n]] for n in [name] if n in FLAGS]) for name, net in self.nets.items())


def feeds_of(count: int, seed: int) -> list[dict[str, Any]]:
    """Random tokens; the flags and places that the modules' examples have."""
    tokens = np.random.default_rng(seed).standard_normal((count, 1, LENGTH, WIDTH), np.float32)
    rest = {FLAGS[name]: made(name)[1][1].numpy() for name in ("padded", "placed")}
    return [{"x": x, **rest} for x in tokens]


@pytest.fixture(scope="module")
def whole() -> tuple[nn.Module, ir.Model, Proof]:
    net, seen = Beside().eval(), feeds_of(32, 0)
    calib = {key: np.concatenate([feed[key] for feed in seen]) for key in seen[0]}
    example = tuple(map(torch.from_numpy, seen[0].values()))
    model, scheme, proof = compiler.integer_model(net, example, CompileOptions(calib=calib))
    assert scheme.values["x"].dtype == "int8"
    return net, model, proof


@pytest.fixture(scope="module")
def quality(whole) -> dict[str, float]:
    """dB by the name of the row."""
    net, model, _ = whole
    error, power = np.zeros(len(NETS)), np.zeros(len(NETS))
    for feed in feeds_of(8, 1):
        got = interpreter.run(model, feed).values()
        with torch.inference_mode():
            want = [y.numpy() for y in net(*map(torch.from_numpy, feed.values()))]
        error += [float(((g - w) ** 2).sum()) for g, w in zip(got, want, strict=True)]
        power += [float((w**2).sum()) for w in want]
    return dict(zip(NETS, 10 * np.log10(power / error), strict=True))


def test_every_row_has_a_floor() -> None:
    assert set(FLOORS) == set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_near_float(quality, name: str) -> None:
    assert quality[name] > FLOORS[name]


def test_engines_agree(whole) -> None:
    _, model, proof = whole
    feeds = feeds_of(2, 2)
    feeds[1] |= {"present": np.roll(feeds[1]["present"], 2), "places": feeds[1]["places"] // 2}
    check_every_value(model, feeds)
    session = runtime.Session(llvm(CompileOptions(threads=1))(model, proof))
    for feed in feeds:
        wanted = interpreter.run(model, feed)
        for key, value in session.run(feed).items():
            same(value, wanted[key], key)
