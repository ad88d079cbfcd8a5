"""Passes on the integer graph's ONNX text: before, after, and the same bits on random and extreme inputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgegate import interpreter
from edgegate.graph import shape
from edgegate.passes import run
from edgegate.passes.drop_unread import drop_unread
from edgegate.stages import integer
from tests.passes.text import HEADER, lines

ONE = "int32[1] one = {1073741824}, int32[1] thirty = {30}"
"""The factor 1, as ``rescale`` takes it without being told another."""


def rescale(source: str, factor: str = "one, thirty", *, zero: int = 0, at: int = 0, low=-128, high=127, to=3) -> str:
    """A Rescale of ``source`` from zero point ``zero`` to zero point ``at``, as text."""
    bounds = f"low = {low}, high = {high}, to = {to}"
    return f"edgegate.Rescale <input_zero_point = {zero}, output_zero_point = {at}, {bounds}> ({source}, {factor})"


def ints(values) -> str:
    """The entries of a constant, as text."""
    return "{" + ", ".join(str(int(v)) for v in np.asarray(values).reshape(-1)) + "}"


def parse(text: str) -> ir.Model:
    """The model, with a type and a shape on every value: those that the interpreter finds."""
    model = ir.from_onnx_text(HEADER + text)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    values = interpreter.run(model, feeds(model)[0], keep=True)
    for value in [*(v for node in model.graph for v in node.outputs), *model.graph.outputs]:
        data = values[str(value.name)]
        value.shape, value.type = ir.Shape(data.shape), ir.TensorType(ir.DataType.from_numpy(data.dtype))
    return model


def feeds(model: ir.Model) -> list[dict[str, np.ndarray]]:
    """Inputs: the least and greatest value, all values in turn, values around zero, and any."""
    rng = np.random.default_rng(0)
    kinds = [
        lambda low, high, count: np.full(count, low),
        lambda low, high, count: np.full(count, high),
        lambda low, high, count: np.arange(count) % (high - low + 1) + low,
        lambda low, high, count: rng.integers(max(low, -3), 4, count),
        lambda low, high, count: rng.choice([low, high, 0, 1], count),
        lambda low, high, count: rng.integers(low, high, count, endpoint=True),
    ]
    made = []
    for kind in kinds:
        feed = {}
        for value in model.graph.inputs:
            dims, dtype = shape(value), _dtype(value)
            low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
            feed[str(value.name)] = kind(low, high, int(np.prod(dims))).astype(dtype).reshape(dims)
        made.append(feed)
    return made


def _dtype(value: ir.Value) -> np.dtype:
    assert value.dtype is not None, "graph inputs have a type"
    return value.dtype.numpy()


def answers(model: ir.Model) -> list[tuple[str, np.dtype, tuple[int, ...], bytes]]:
    """What the interpreter computes on ``feeds``: name, type, shape and bytes of each output, of each feed."""
    results = [interpreter.run(model, feed) for feed in feeds(model)]
    return [(name, y.dtype, y.shape, y.tobytes()) for result in results for name, y in result.items()]


def check(step, before: str, after: str) -> ir.Model:
    """``step`` turns ``before`` into ``after``; the outputs keep their names, types and bits."""
    model, wanted = parse(before), lines(parse(after))
    outputs = answers(model)
    run(model, [step, drop_unread], integer)
    assert lines(model) == wanted
    assert answers(model) == outputs
    assert answers(parse(after)) == outputs
    sound(model)
    return model


def sound(model: ir.Model) -> None:
    """Types and shapes are those of the values, and no two values share a name."""
    values = interpreter.run(model, feeds(model)[0], keep=True)
    named = [v for node in model.graph for v in node.outputs]
    for value in named:
        data = values[str(value.name)]
        assert value.dtype is not None and value.dtype.numpy() == data.dtype, value
        assert value.shape is not None and tuple(value.shape) == data.shape, value
    names = [v.name for v in (*named, *model.graph.inputs, *model.graph.initializers.values())]
    assert len(names) == len(set(names))


def unchanged(step, text: str) -> None:
    """``step`` leaves this alone."""
    model = parse(text)
    run(model, [step, drop_unread], integer)
    assert lines(model) == lines(parse(text))
