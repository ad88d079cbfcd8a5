"""Products, sums and choices of two activations: every pair of storages lowers, every engine gives the same bits."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, runtime, stages
from edgegate.options import CompileOptions
from edgegate.passes import INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage
from edgegate.targets.llvm import llvm
from tests.test_integer_graphs import check_every_value, same

KINDS = {
    "int8": Storage(dtype="int8", scale=1 / 32, zero_point=-19),
    "uint8": Storage(dtype="uint8", scale=1 / 40, zero_point=101),
    "int16": Storage(dtype="int16", scale=1 / 7000),
}
CHOSEN = np.array([[True], [False], [True], [False]])
BINARY: dict[str, tuple[str, Any]] = {
    "Add": ("y = Add (a, b)", np.add),
    "Sub": ("y = Sub (a, b)", np.subtract),
    "Mul": ("y = Mul (a, b)", np.multiply),
    "Max": ("y = Max (a, b)", np.maximum),
    "Min": ("y = Min (a, b)", np.minimum),
    "Concat": ("y = Concat <axis = 1> (a, b)", lambda a, b: np.concatenate([a, b], 1)),
    "Where": ("y = Where (c, a, b)", lambda a, b: np.where(CHOSEN, a, b)),
    "MatMul": ("y = MatMul (a, t)", lambda a, b: a @ b.T),
}


def model_of(line: str, dims: tuple[int, ...]) -> ir.Model:
    turned = "t = Transpose <perm = [1, 0]> (b) " if "t)" in line else ""
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21]>
        g (float[4, 6] a, float[4, 6] b) => (float[{dims[0]}, {dims[1]}] y)
        <bool[4, 1] c = {{1, 0, 1, 0}}> {{ {turned}{line} }}"""
    )
    for node in model.graph:
        for value in node.outputs:
            value.shape = value.shape or ir.Shape([6, 4])
            value.dtype = ir.DataType.FLOAT
    return model


def both(model: ir.Model, feeds: list[dict[str, Any]]) -> list[Any]:
    """The answers of an integer model, the same in the interpreter, in ONNX Runtime and compiled."""
    check_every_value(model, feeds)
    run(model, INTEGER, stages.integer)
    check_every_value(model, feeds)
    session = runtime.Session(llvm(CompileOptions(threads=1))(model, stages.prove(model)))
    answers = [interpreter.run(model, feed) for feed in feeds]
    for feed, answer in zip(feeds, answers, strict=True):
        for name, value in session.run(feed).items():
            same(value, answer[name], name)
    return answers


@pytest.mark.parametrize("op", BINARY)
def test_every_pair_of_storages(op: str) -> None:
    line, exact = BINARY[op]
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(-1.5, 1.5, (4, 6)).astype(np.float32) for _ in "ab")
    want = exact(a.astype(np.float64), b.astype(np.float64))
    for left, right, out in product(KINDS, KINDS, KINDS):
        target = Storage(dtype="int16", scale=1 / 3000) if out == "int16" else KINDS[out]
        scale = 4 * target.scale if op == "MatMul" and out != "int16" else target.scale
        target = Storage(dtype=target.dtype, scale=scale, zero_point=target.zero_point)
        model = model_of(line, want.shape)
        sides = {"a": KINDS[left], "b": KINDS[right], "t": KINDS[right], "y": target}
        to_integer(Scheme(values={k: v for k, v in sides.items() if k != "t" or op == "MatMul"}))(model)
        stages.prove(model)
        found = interpreter.run(model, {"a": a, "b": b})["y"]
        steps = sides["a"].scale + sides["b"].scale
        error = np.abs(found - np.clip(want, target.real_low, target.real_high)).max()
        assert error <= 0.51 * target.scale + 0.6 * steps * (4 if op == "MatMul" else 1.5), (left, right, out)
        if out == right:
            check_every_value(model, [{"a": a, "b": b}])


@pytest.mark.parametrize("op", BINARY)
def test_programs_of_mixed_storages(op: str) -> None:
    line, exact = BINARY[op]
    rng = np.random.default_rng(1)
    feeds = [{name: rng.uniform(-2, 2, (4, 6)).astype(np.float32) for name in "ab"} for _ in range(2)]
    model = model_of(line, exact(feeds[0]["a"], feeds[0]["b"]).shape)
    values = {"a": KINDS["int16"], "b": KINDS["uint8"], "y": KINDS["int16"]}
    to_integer(Scheme(values=values | ({"t": KINDS["uint8"]} if op == "MatMul" else {})))(model)
    both(model, feeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("exclusive", "reverse"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_running_sums(kind: str, exclusive: int, reverse: int) -> None:
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21]> g (float[3, 40] x) => (float[3, 40] y)
        <int64 a = {{1}}> {{ y = CumSum <exclusive = {exclusive}, reverse = {reverse}> (x, a) }}"""
    )
    target = Storage(dtype="int16", scale=1 / 500)
    to_integer(Scheme(values={"x": KINDS[kind], "y": target}))(model)
    feeds = [{"x": np.random.default_rng(i).uniform(-1.5, 1.5, (3, 40)).astype(np.float32)} for i in range(2)]
    for feed, found in zip(feeds, both(model, feeds), strict=True):
        x = feed["x"].astype(np.float64)
        turned = x[:, ::-1] if reverse else x
        sums = np.cumsum(turned, 1) - (turned if exclusive else 0)
        want = sums[:, ::-1] if reverse else sums
        assert np.abs(found["y"] - want).max() <= target.scale + 20 * KINDS[kind].scale


def test_long_running_sums_take_48_bits() -> None:
    length = 40_000
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21]> g (float[1, {length}] x) => (float[1, {length}] y)
        <int64 a = {{1}}> {{ y = CumSum (x, a) }}"""
    )
    values = {"x": KINDS["int16"], "y": Storage(dtype="int16", scale=8.0)}
    to_integer(Scheme(values=values))(model)
    assert [bits for *_, bits in stages.prove(model).accumulators] == [48]
    (found,) = interpreter.run(model, {"x": np.full((1, length), 5, np.float32)}).values()
    assert found[0, -1] == pytest.approx(min(5, KINDS["int16"].real_high) * length, rel=1e-4)
