"""Attention with gates and biases, in integers: one answer from every engine, near that of float."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgegate import compiler, interpreter, runtime
from edgegate.options import CompileOptions
from edgegate.quant import Scheme
from edgegate.stages import Proof
from edgegate.targets.llvm import llvm
from tests.attention_nets import made
from tests.test_integer_graphs import check_every_value, same

FLOORS = {"flash": 31, "flash_linear": 33, "linear": 31, "causal_linear": 31}
"""Name -> dB of signal over the integers' error on inputs that calibration has not seen."""
SAMPLES = 48


def feeds_of(name: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Feeds by the names of the model's inputs: random tokens, and flags as they are."""
    _, example = made(name)
    tokens = np.random.default_rng(seed).standard_normal((count, *example[0].shape), np.float32)
    rest = {} if len(example) == 1 else {"present": example[1].numpy()}
    return [{"x": x, **rest} for x in tokens]


@cache
def compiled(name: str) -> tuple[ir.Model, Scheme, Proof]:
    net, example = made(name)
    seen = feeds_of(name, SAMPLES, 0)
    calib = {key: np.concatenate([feed[key] for feed in seen]) for key in seen[0]}
    return compiler.integer_model(net, example, CompileOptions(calib=calib))


@pytest.mark.parametrize("name", FLOORS)
def test_near_float(name: str) -> None:
    model, scheme, _ = compiled(name)
    net, _ = made(name)
    feeds, error, power = feeds_of(name, 8, 1), 0.0, 0.0
    check_every_value(model, feeds[:1])
    for feed in feeds:
        (got,) = interpreter.run(model, feed).values()
        with torch.inference_mode():
            want = net(*map(torch.from_numpy, feed.values())).numpy()
        error, power = error + float(((got - want) ** 2).sum()), power + float((want**2).sum())
    assert 10 * np.log10(power / error) > FLOORS[name]
    assert scheme.values[str(model.graph.inputs[0].name)].dtype == "int8"


@pytest.mark.parametrize("name", FLOORS)
def test_programs_agree(name: str) -> None:
    model, _, proof = compiled(name)
    session = runtime.Session(llvm(CompileOptions(threads=1))(model, proof))
    for feed in feeds_of(name, 2, 2):
        wanted = interpreter.run(model, feed)
        for key, value in session.run(feed).items():
            same(value, wanted[key], key)
