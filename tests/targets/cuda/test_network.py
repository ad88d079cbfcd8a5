"""Networks for GPUs, run by threads one after the other: every op, whole models, memory that is shared over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from edgegate import interpreter
from edgegate.compiler import integer_model
from edgegate.ops import OPS, OWN, STANDARD
from edgegate.ops._op import Op, Sample
from edgegate.options import CompileOptions
from edgegate.targets._call import Call
from edgegate.targets._edges import inputs_of, outputs_of
from edgegate.targets.cuda_network.launch import Argument, Launch, Room, Whole
from edgegate.targets.cuda_network.memory import ALIGNED, Span, placed, spans
from edgegate.targets.cuda_network.network import Network, network_of
from edgegate.targets.cuda_network.portable import MODULE, Functions, launches, scheduled
from tests import recurrent_nodes
from tests.families.bench import floating, inputs, integer
from tests.ops.test_ops import expected
from tests.targets.cuda.serial import Serial

BITS = ("Logic", "GroupSum")
"""Ops that have a target of their own."""


def call(function: Any, given: list[Whole], made: Argument) -> Call:
    """Of memory that is no value of a graph."""
    return Call(func=function, arguments=tuple(given), outputs=(made,))  # type: ignore[arg-type]


def networks(op: Op, samples: list[Sample]) -> list[Network]:
    """One of one node for each sample, all with the same text."""
    functions, calls = Functions(), []
    for sample in samples:
        tensors = [te.placeholder(x.shape, x.dtype.name, name=f"x{i}") for i, x in enumerate(sample.inputs)]
        arguments = [x if i in op.static else t for i, (x, t) in enumerate(zip(sample.inputs, tensors, strict=True))]
        lowered = op.lower(*arguments, **sample.attributes)
        outputs = list(lowered) if isinstance(lowered, list | tuple) else [lowered]
        kept = [i for i in range(len(tensors)) if i not in op.static]
        given: list[Whole] = [Room(size=sample.inputs[i].nbytes) for i in kept]
        made: list[Argument] = [Room(size=y.nbytes) for y in expected(op, sample)]
        functions_of = [te.create_prim_func([*(tensors[i] for i in kept), y]) for y in outputs]
        pairs = zip(functions_of, made, strict=True)
        calls.append((given, made, [call(f, given, y) for f, y in pairs]))
    named = [[(c, functions.name(scheduled(c.func))) for c in made] for _, _, made in calls]
    text, signatures = functions.compiled()
    return [
        Network(
            texts={MODULE: text}, inputs=given, outputs=made,
            launches=[n for c, name in each for n in launches(c, functions.by_name[name], signatures[name])],
        )
        for (given, made, _), each in zip(calls, named, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "op",
    [o for o in (*OWN, *STANDARD) if o.name not in BITS],
    ids=lambda op: op.name + ("" if op.domain else " (ONNX)"),
)
def test_every_op(op: Op, tmp_path: Path) -> None:
    samples = list(op.samples(np.random.default_rng(0)))
    made = networks(op, samples)
    serial = Serial(made[0].texts[MODULE], tmp_path)
    for network, sample in zip(made, samples, strict=True):
        given = [x for i, x in enumerate(sample.inputs) if i not in op.static]
        for got, want in zip(serial.run(network, given), expected(op, sample), strict=True):
            np.testing.assert_array_equal(got.view(want.dtype).reshape(want.shape), want)


RNG = np.random.default_rng(0)
LONG: dict[str, tuple[dict[str, Any], list[tuple[int, ...]]]] = {
    "Sum": ({"axes": [1, 2], "keepdims": 1, "input_zero_point": -7}, [(2, 13, 17, 5)]),
    "MatMul16x8": ({}, [(3, 336), (336, 7), (7,)]),
    "a prime": ({}, [(3, 331), (331, 7), (7,)]),
}
"""Attributes and shapes of sums that are made in parts, and of one that cannot be."""


@pytest.mark.parametrize("name", LONG)
def test_long_sums(name: str, tmp_path: Path) -> None:
    op = OPS["edgegate", "Sum" if name == "Sum" else "MatMul16x8"]
    attributes, dims = LONG[name]
    like = next(iter(op.samples(RNG))).inputs
    most = [127 if x.dtype == np.int8 else 1000 for x in like]
    data = [RNG.integers(-m, m, d).astype(x.dtype) for m, d, x in zip(most, dims, like, strict=True)]
    sample = Sample(inputs=tuple(data), attributes=attributes)
    (made,) = networks(op, [sample])
    sums = 1 if name == "a prime" else 2
    assert len(made.launches) == sums + (name != "Sum")
    for got, want in zip(Serial(made.texts[MODULE], tmp_path).run(made, data), expected(op, sample), strict=True):
        np.testing.assert_array_equal(got.view(want.dtype).reshape(want.shape), want)


def stored(values: dict[str, np.ndarray], ends: list[ir.Value]) -> list[np.ndarray]:
    return [values[str(v.name)] for v in ends]


NETS = ("deepfill_chunk", "mobilenet_v3", "gated_norm", "moeg", "gmlp", "enlarging")


@pytest.mark.parametrize("name", NETS)
def test_whole_models(name: str, tmp_path: Path) -> None:
    model = integer(name, "calibrated")
    alike(model, inputs(floating(name)[1], 5, 2), tmp_path)


LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru both ways": ("GRU", {"direction": "bidirectional", "initial": True}),
    "lstm reverse": ("LSTM", {"direction": "reverse", "peepholes": True}),
    "rnn of an odd number of steps": ("RNN", {"steps": 3, "batch": 1, "hidden": 5}),
}


@pytest.mark.parametrize("case", LOOPS)
def test_loops(case: str, tmp_path: Path) -> None:
    op, how = LOOPS[case]
    how = {"steps": 6, "batch": 2, **how}
    path = tmp_path / "m.onnx"
    path.write_bytes(recurrent_nodes.node(op, **how).SerializeToString())
    model, _, _ = integer_model(str(path), None, CompileOptions(target="llvm"))
    assert any(node.op_type == "Scan" for node in model.graph)
    dims = (how["steps"], how["batch"], 12)
    alike(model, [{"x": RNG.standard_normal(dims, np.float32)} for _ in range(2)], tmp_path)


def alike(model: ir.Model, feeds: list[dict[str, np.ndarray]], folder: Path) -> None:
    """The interpreter's bits, in memory of their own and in one piece of memory in which values share room."""
    made = network_of(model, None)
    serial = Serial(made.texts[MODULE], folder)
    for feed in feeds:
        values = interpreter.run(model, feed, keep=True)
        given, wanted = stored(values, inputs_of(model)), stored(values, outputs_of(model))
        for got, want in zip(serial.run(made, given), wanted, strict=True):
            np.testing.assert_array_equal(got.view(want.dtype).reshape(want.shape), want)
        for got, want in zip(serial.run_described(made, given), wanted, strict=True):
            np.testing.assert_array_equal(got[: want.nbytes].view(want.dtype).reshape(want.shape), want)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 2000)), min_size=1, max_size=30))
def test_what_is_needed_at_the_same_time_lies_apart(things: list[tuple[int, int, int]]) -> None:
    rooms = [Room(size=size) for _, _, size in things]
    needed: dict[Whole, Span] = {
        r: Span(first=min(a, b), last=max(a, b)) for r, (a, b, _) in zip(rooms, things, strict=True)
    }
    offsets, total = placed(needed, {r: r.size for r in rooms})
    assert all(offset % ALIGNED == 0 and offsets[r] + r.size <= total for r, offset in ((r, offsets[r]) for r in rooms))
    for a in rooms:
        for b in rooms:
            if a is not b and needed[a].meets(needed[b]):
                assert offsets[a] + a.size <= offsets[b] or offsets[b] + b.size <= offsets[a]


def test_inputs_are_kept_until_they_are_read_and_outputs_to_the_end() -> None:
    a, b, c = (Room(size=1) for _ in range(3))
    steps = [
        Launch(module="m", kernel="k", grid=(1, 1, 1), threads=1, arguments=(a, b), written=frozenset({1})),
        Launch(module="m", kernel="k", grid=(1, 1, 1), threads=1, arguments=(b, c), written=frozenset({1})),
    ]
    found = spans(steps, [a], [c])
    assert found == {a: Span(first=-1, last=0), b: Span(first=0, last=1), c: Span(first=1, last=2)}
