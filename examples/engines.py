"""What the examples compare an artifact with, and how they time it."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from torch import nn

from edgegate import interpreter
from examples.digits import Array

Engine = Callable[[Array], Array]
"""Images [N, 1, 8, 8] -> logits [N, 10], both float32; N as the program was compiled for."""


def in_torch(net: nn.Module) -> Engine:
    """Torch itself, in float32."""

    def run(images: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(images)).numpy())

    return run


def in_onnx_runtime(model: bytes, *, as_written: bool = False) -> Engine:
    """ONNX Runtime on one thread; ``as_written`` forbids it to rewrite the graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


def in_interpreter(model: bytes) -> Engine:
    """The numpy references of the integer ops: the definition that every other engine must meet."""
    graph = ir.from_proto(_parsed(model))
    name = str(graph.graph.inputs[0].name)
    return lambda images: next(iter(interpreter.run(graph, {name: images}).values()))


def float_onnx(net: nn.Module, images: Array) -> bytes:
    """The float network as torch's own exporter writes it, for inputs of the shape of ``images``."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from within torch, about torch
        program = torch.onnx.export(net, (torch.from_numpy(images),), dynamo=True, verbose=False)
    buffer = io.BytesIO()
    program.save(buffer)
    return buffer.getvalue()


def one_by_one(engine: Engine, images: Array) -> Array:
    """The logits of all ``images`` from an engine that takes one at a time."""
    return np.concatenate([engine(images[i : i + 1]) for i in range(len(images))])


def latencies(engines: Mapping[str, Engine], images: Array, rounds: int = 300) -> dict[str, float]:
    """Median time of one call in microseconds, by name.

    The engines take turns, so that whatever else the machine does falls on all alike.
    """
    seen: dict[str, list[int]] = {name: [] for name in engines}
    for turn in range(rounds + 20):
        for name, engine in engines.items():
            start = time.perf_counter_ns()
            engine(images)
            if turn >= 20:  # the first calls allocate and warm the caches
                seen[name].append(time.perf_counter_ns() - start)
    return {name: median(times) / 1000 for name, times in seen.items()}


def _parsed(model: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(model)
