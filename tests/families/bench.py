"""From a family's net to its float and integer models, each made once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch import nn

from edgegate import frontend, interpreter, stages
from edgegate.graph import shape
from edgegate.passes import FLOAT, INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from tests.families.table import NETS, awake

Feed = dict[str, np.ndarray]
HOW = ("calibrated", "alone", "wide")
"""With calibration data, without any, and with data and 16 bits for every activation that can have them."""


@cache
def floating(name: str) -> tuple[nn.Module, ir.Model]:
    """The module, and its model after the float passes."""
    net = NETS[name]
    module = awake(net)
    model = frontend.load(module, example=(torch.randn(net.shape),))
    run(model, FLOAT, stages.floating)
    return module, model


def inputs(model: ir.Model, seed: int, count: int) -> list[Feed]:
    """Random feeds, each element N(0, 1): half of the variance is noise, half a level that a channel has."""
    rng = np.random.default_rng(seed)
    (value,) = model.graph.inputs
    dims = shape(value)
    level = [d if i < 2 else 1 for i, d in enumerate(dims)]
    root = np.float32(0.5**0.5)
    return [
        {str(value.name): root * (rng.standard_normal(dims, np.float32) + rng.standard_normal(level, np.float32))}
        for _ in range(count)
    ]


@cache
def scheme(name: str, how: str) -> Scheme:
    """How the net's values are stored."""
    model = floating(name)[1]
    data = None if how == "alone" else inputs(model, 1, 128)
    return quantize_scheme(model, data, Recipe(activation_bits=16 if how == "wide" else 8))


@cache
def lowered(name: str, how: str) -> ir.Model:
    """The integer model as ``to_integer`` writes it."""
    copy = ir.from_proto(ir.to_proto(floating(name)[1]))
    to_integer(scheme(name, how))(copy)
    return copy


@cache
def integer(name: str, how: str) -> ir.Model:
    """The integer model that targets see, proved after every pass."""
    copy = ir.from_proto(ir.to_proto(lowered(name, how)))
    run(copy, INTEGER, stages.integer)
    return copy


def answers(model: ir.Model, feeds: list[Feed]) -> Iterator[np.ndarray]:
    """What the interpreter computes."""
    for feed in feeds:
        (output,) = interpreter.run(model, feed).values()
        yield output


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    """ONNX Runtime, which runs every node as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)


def ratio(name: str, how: str) -> float:
    """Signal-to-noise of the integers against the torch module, in dB, over inputs that no calibration saw.

    The signal is how outputs differ from their mean over the inputs: what biases make alone does not count.
    """
    module, model = floating(name)[0], integer(name, how)
    feeds = inputs(model, 2, 12)
    with torch.no_grad():
        want = np.stack([module(*map(torch.from_numpy, feed.values())).numpy() for feed in feeds])
    noise = ((np.stack(list(answers(model, feeds))) - want) ** 2).sum()
    return float(10 * np.log10(((want - want.mean(0)) ** 2).sum() / noise))
