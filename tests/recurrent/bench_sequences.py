"""A step of a sequence: from Python, in one loop around the whole step, and with all that need not wait at once.

Print the table, in us a step: ``python -m tests.recurrent.bench_sequences`` (five minutes), or of some by name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgegate._program import Program
from edgegate.compiler import integer_model
from edgegate.graph import shape
from edgegate.manifest import IOSpec
from edgegate.options import CompileOptions
from edgegate.passes.over_time import over_time
from edgegate.stages import prove
from edgegate.targets import target
from edgegate.targets._call import dtype
from edgegate.targets._edges import inputs_of
from edgegate.targets._machine import machine
from edgegate.targets.llvm import executable, shared_library
from tests.recurrent import bench, cells, fifo, rank_one
from tests.recurrent.decoders import Conv, Decoder, WindowAttention, delta_like, lfm2_like
from tests.recurrent.table import STEPS, Step

T = 64
ROW = (1, 256)


class GLA(rank_one.GLA):
    """Gated linear attention of 256 channels, four heads."""

    def __init__(self) -> None:
        rank_one.Heads.__init__(self, 256, 4, 64)
        self.forget, self.gate = nn.Linear(256, 256), nn.Linear(256, 256)


def wide() -> Decoder:
    """Four layers as LFM2 mixes them, of 256 channels."""
    torch.manual_seed(0)
    return Decoder([Conv(256), Conv(256), WindowAttention(256), Conv(256)], width=256).eval()


def of_step(step: Step) -> ir.Model:
    """The integer graph of a family's step."""
    return bench.integer(step, T)[0]


def of_decoder(make: Callable[[], Decoder]) -> ir.Model:
    """The integer graph of a step of a language model."""
    net = make()
    held = [torch.zeros(dims) for dims in net.states()]
    calib = {"": np.random.default_rng(0).integers(0, 128, (T, 1))}
    options = CompileOptions(state={i + 1: i + 1 for i in range(len(held))}, calib=calib)
    return integer_model(net, (torch.zeros(1, dtype=torch.int64), *held), options)[0]


WIDE = {
    "short_conv 256": Step(make=lambda: fifo.ShortConv(256), states=((1, 256, 2),), shape=ROW, floor=0),
    "gla 256": Step(make=GLA, states=((1, 4, 64, 64),), shape=ROW, floor=0),
    "gru 256": Step(make=lambda: cells.GRU(256), states=(ROW,), shape=ROW, floor=0),
}
NETS = {"lfm2_like 64": lfm2_like, "lfm2_like 256": wide, "delta_like 64": delta_like}
MODELS: dict[str, Callable[[], ir.Model]] = {
    **{f"{name} 32": partial(of_step, STEPS[name]) for name in ("short_conv", "gla", "gru")},
    **{name: partial(of_step, step) for name, step in WIDE.items()},
    **{name: partial(of_decoder, make) for name, make in NETS.items()},
}
OPTIONS = CompileOptions(threads=1)


def program(model: ir.Model) -> Program:
    """The model as a program for one thread."""
    made_for = machine(OPTIONS.triple, OPTIONS.mcpu)
    inputs = [IOSpec(name=str(v.name), shape=shape(v), dtype=dtype(v)) for v in inputs_of(model)]
    return Program(shared_library(executable(model, made_for, 1), made_for), inputs, device="cpu", threads=1)


def best(call: Callable[[], object], number: int) -> float:
    """Least seconds of a call."""
    call()
    found = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(number):
            call()
        found.append((time.perf_counter() - start) / number)
    return min(found)


def measured(model: ir.Model) -> tuple[float, float, float]:
    """Seconds of a step from Python, in one loop, and with what need not wait at once; both have the same bits."""
    session = target("llvm")(OPTIONS)(model, prove(model)).session(threads=1)
    feed = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session._fresh}
    one = best(lambda: session.advance(feed), 100)
    programs = [program(over_time(model, T, split=split)) for split in (False, True)]
    rng = np.random.default_rng(0)
    for buffers in zip(*(p.buffers for p in programs), strict=True):
        drawn = rng.integers(0, 100, buffers[0].shape)
        for buffer in buffers:
            buffer[...] = drawn
    for a, b in zip(*(p.run() for p in programs), strict=True):
        np.testing.assert_array_equal(a, b)
    whole, split = (best(p.run, 20) / T for p in programs)
    return one, whole, split


if __name__ == "__main__":
    print(f"us a step of {T}    session.step  one loop  what need not wait at once")
    for name in sys.argv[1:] or MODELS:
        one, whole, split = (1e6 * seconds for seconds in measured(MODELS[name]()))
        print(f"{name:16} {one:12.1f} {whole:9.2f} {split:27.2f}", flush=True)
