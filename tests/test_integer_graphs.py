"""Random integer graphs: interpreter, ONNX Runtime and the compiled program give the same bits, passes keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate import interpreter, replay, runtime, stages
from edgegate.options import CompileOptions
from edgegate.passes import INTEGER, run
from edgegate.stages.edges import ENTRIES, EXITS
from edgegate.targets.llvm import llvm
from tests.integer_graphs import CLAIMED, graph

SEEDS = st.integers(0, 1 << 32)
OPTIONS = CompileOptions(threads=1)


def onnx_runtime(model: ir.Model) -> tuple[list[str], Any]:
    """The names of every value that a node makes, and a session that gives them all, as written."""
    proto = ir.to_proto(model)
    known = {output.name for output in proto.graph.output}
    made = [v for node in model.graph for v in node.outputs]
    proto.graph.output.extend(ir.to_proto(v) for v in made if v.name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()], session


def same(found: Any, expected: Any, what: str) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    assert found.tobytes() == expected.tobytes(), f"{what}: {np.argwhere(found != expected)[:3].tolist()}"


def check_every_value(model: ir.Model, feeds: list[dict[str, Any]]) -> None:
    """ONNX Runtime gives the interpreter's bits for every value of the graph."""
    names, session = onnx_runtime(model)
    for feed in feeds:
        expected = interpreter.run(model, feed, keep=True)
        for name, found in zip(names, session.run(None, feed), strict=True):
            same(found, expected[name], name)


def check_graph(seed: int, *, compiled: bool) -> None:
    """All engines on the graph of a seed, before and after the passes."""
    model, feeds = graph(seed)
    stages.prove(model)
    check_every_value(model, feeds)
    answers = [interpreter.run(model, feed) for feed in feeds]
    run(model, INTEGER, stages.integer)
    check_every_value(model, feeds)
    session = None
    if compiled:
        session = runtime.Session(llvm(OPTIONS)(model, stages.prove(model)))
        replay.verify(session)
    for feed, expected in zip(feeds, answers, strict=True):
        found = [interpreter.run(model, feed)] + ([] if session is None else [session.run(feed)])
        for name, value in expected.items():
            for engine in found:
                same(engine[name], value, name)


@given(SEEDS)
@settings(max_examples=60)
def test_passes_and_onnx_runtime_keep_every_bit(seed: int) -> None:
    check_graph(seed, compiled=False)


@given(SEEDS)
@settings(max_examples=12)
def test_programs_keep_every_bit(seed: int) -> None:
    check_graph(seed, compiled=True)


@pytest.mark.slow
@given(SEEDS)
@settings(max_examples=500)
def test_five_hundred_programs(seed: int) -> None:
    check_graph(seed, compiled=True)


def test_the_graphs_hold_every_op() -> None:
    met = {(node.domain, node.op_type) for seed in range(300) for node in graph(seed)[0].graph}
    assert met - {(domain, op) for op, domain in {**ENTRIES, **EXITS}.items() if not domain} == CLAIMED
