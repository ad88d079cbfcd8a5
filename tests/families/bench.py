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


@cache
def floating(name: str) -> tuple[nn.Module, ir.Model]:
    """The module, and its model after the float passes."""
    net = NETS[name]
    module = awake(net)
    model = frontend.load(module, example=(torch.randn(net.shape),))
    run(model, FLOAT, stages.floating)
    return module, model


def inputs(model: ir.Model, seed: int, count: int) -> list[Feed]:
    """Random feeds of standard normal inputs."""
    rng = np.random.default_rng(seed)
    (value,) = model.graph.inputs
    return [{str(value.name): rng.standard_normal(shape(value), np.float32)} for _ in range(count)]


@cache
def scheme(name: str, calibrated: bool) -> Scheme:
    """How the net's values are stored, chosen with calibration data or without any."""
    model = floating(name)[1]
    return quantize_scheme(model, inputs(model, 1, 128) if calibrated else None, Recipe())


@cache
def lowered(name: str, calibrated: bool) -> ir.Model:
    """The integer model as ``to_integer`` writes it."""
    copy = ir.from_proto(ir.to_proto(floating(name)[1]))
    to_integer(scheme(name, calibrated))(copy)
    return copy


@cache
def integer(name: str, calibrated: bool) -> ir.Model:
    """The integer model that targets see, proved after every pass."""
    copy = ir.from_proto(ir.to_proto(lowered(name, calibrated)))
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


def ratio(name: str, calibrated: bool) -> float:
    """Signal-to-noise of the integers against the torch module, in dB, over inputs that no calibration saw."""
    module, model = floating(name)[0], integer(name, calibrated)
    signal = noise = 0.0
    feeds = inputs(model, 2, 12)
    for feed, got in zip(feeds, answers(model, feeds), strict=True):
        with torch.no_grad():
            want = module(*map(torch.from_numpy, feed.values())).numpy()
        signal, noise = signal + float((want**2).sum()), noise + float(((got - want) ** 2).sum())
    return float(10 * np.log10(signal / noise))
