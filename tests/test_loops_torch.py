# mypy: disable-error-code="attr-defined,union-attr,misc,index"
"""Loops as torch has them: recurrent modules, scan, cond; and a step over time."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgegate import CompileError, interpreter, passes, runtime, stages
from edgegate.compiler import integer_model
from edgegate.graph import shape, states
from edgegate.options import CompileOptions
from edgegate.passes.open_branches import open_branches
from edgegate.passes.open_scans import open_scans
from edgegate.passes.over_time import over_time
from edgegate.stages.scans import roll
from edgegate.targets.llvm import llvm
from tests import recurrent_nodes
from tests.passes.text import parse
from tests.recurrent import bench
from tests.recurrent.table import STEPS
from tests.test_loops import outputs, sqnr

OPTIONS = CompileOptions(threads=1)


class Recurrent(nn.Module):
    """A recurrent module, whose sequence alone goes out."""

    def __init__(self, kind: type[nn.RNNBase], **how) -> None:
        super().__init__()
        self.inner = kind(12, 16, batch_first=True, **how)

    def forward(self, x):
        return self.inner(x)[0]


class Scanned(nn.Module):
    """A unit with a loop that torch exports as one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.value = nn.Linear(12, 12), nn.Linear(24, 12)

    def forward(self, x):
        from torch._higher_order_ops.scan import scan

        def step(h, element):
            z = torch.sigmoid(self.gate(element))
            h = h + z * (torch.tanh(self.value(torch.cat([element, h], -1))) - h)
            return h, h.clone()

        return scan(step, torch.zeros(1, 12), x, dim=1)[1]


class Branches(nn.Module):
    """Two layers, one of which is used."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.layer = nn.Linear(12, 1), nn.Linear(12, 12)

    def forward(self, x):
        passed = (torch.sigmoid(self.gate(x)) > 0.5)[0, 0]
        return torch.cond(passed, lambda x: torch.relu(self.layer(x)), lambda x: x * 0.5, (x,))


MODULES = {
    "gru": (lambda: Recurrent(nn.GRU, num_layers=2), 2, 36),
    "lstm": (lambda: Recurrent(nn.LSTM, bidirectional=True), 2, 35),
    "rnn": (lambda: Recurrent(nn.RNN, num_layers=2, bidirectional=True), 4, 35),
    "rnn, relu": (lambda: Recurrent(nn.RNN, nonlinearity="relu", bias=False), 1, 33),
    "scan": (Scanned, 1, 34),
}
"""How it is made, how many loops it has, and its least SQNR."""


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch(name, tmp_path):
    make, count, least = MODULES[name]
    torch.manual_seed(0)
    module, x = make().eval(), torch.randn(1, 24, 12)
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(module, (x,)), path)
    model, _, _ = integer_model(str(path), None, OPTIONS)
    assert [n.op_type for n in model.graph].count("Scan") == count
    feeds = {str(model.graph.inputs[0].name): x.numpy()}
    (got,) = interpreter.run(model, feeds).values()
    assert sqnr(module(x).detach().numpy(), got) >= least
    np.testing.assert_array_equal(outputs(ir.to_proto(model).SerializeToString(), feeds)[0], got)


def test_both_branches_are_computed_and_one_is_chosen():
    torch.manual_seed(0)
    module = Branches().eval()
    model, _, _ = integer_model(module, (torch.randn(1, 12),), OPTIONS)
    met = set()
    for x in torch.randn(8, 1, 12):
        feeds = {str(model.graph.inputs[0].name): x.numpy()}
        (got,) = interpreter.run(model, feeds).values()
        assert sqnr(module(x).detach().numpy(), got) > 24
        np.testing.assert_array_equal(outputs(ir.to_proto(model).SerializeToString(), feeds)[0], got)
        met.add(bool(module.gate(x) > 0))
    assert met == {True, False}


def test_a_constant_condition_leaves_one_branch():
    model = parse("""g (float[2] x) => (float[2] y) <bool c = {0}> {
        y = If (c) <then_branch = a () => (float[2] p) { p = Relu (x) },
                    else_branch = b () => (float[2] q) { q = Neg (x) }>
    }""")
    passes.run(model, [open_branches], stages.floating)
    assert [n.op_type for n in model.graph] == ["Neg", "Identity"]


def test_axes_and_directions_of_a_scan():
    text = """g (float[2] h, float[2, 5] x) => (float[2] last, float[2, 5] y) {
        last, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [-1],
            scan_input_directions = [1], body = step (float[2] s, float[2] e) => (float[2] t, float[2] u) {
                t = Add (s, e) u = Mul (t, h)
        }> (h, x)
    }"""
    rng = np.random.default_rng(0)
    feeds = {"h": rng.standard_normal(2, np.float32), "x": rng.standard_normal((2, 5), np.float32)}
    model = parse(text)
    want = outputs(ir.to_proto(model).SerializeToString(), feeds)
    passes.run(model, [open_scans], stages.floating)
    roll(model)
    for a, b in zip(outputs(ir.to_proto(model).SerializeToString(), feeds), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_loop_of_a_constant_number_of_steps(tmp_path):
    """What torch.jit writes for ``for i in range(6)``: elements picked by the step's number are a sequence."""
    text = """g (float[6, 1, 8] x, float[1, 8] h0) => (float[1, 8] last, float[6, 1, 8] y)
    <bool c = {1}, int64 n = {6}> {
        last, y = Loop <body = b (int64 i, bool go, float[1, 8] h) => (bool on, float[1, 8] t, float[1, 8] u) {
            on = Identity (go) e = Gather <axis = 0> (x, i) s = Add (h, e) t = Tanh (s) u = Sigmoid (t)
        }> (n, c, h0)
    }"""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    model, _, _ = integer_model(str(path), None, OPTIONS)
    assert [n.op_type for n in model.graph].count("Scan") == 1
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((6, 1, 8), np.float32), "h0": rng.standard_normal((1, 8), np.float32)}
    got = interpreter.run(model, feeds)
    wanted, found = (outputs(p.SerializeToString(), feeds) for p in (proto, ir.to_proto(model)))
    for name, want, bits in zip(("last", "y"), wanted, found, strict=True):
        assert sqnr(want, got[name]) > 40
        np.testing.assert_array_equal(bits, got[name])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"op": "RNN", "activations": ["Erf"]}, "has no activation function Erf; use one of Affine"),
        ({"op": "GRU", "lengths": [50, 49]}, "differ in length .sequence_lens.; give it whole sequences of 50 steps"),
    ],
)
def test_nodes_that_are_refused(how, said, tmp_path):
    lengths, path = how.pop("lengths", None), tmp_path / "m.onnx"
    proto = recurrent_nodes.node(how.pop("op"), **how)
    if lengths:
        proto.graph.initializer.append(helper.make_tensor("lengths", TensorProto.INT32, [2], lengths))
        proto.graph.node[0].input[4] = "lengths"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CompileError, match=said):
        integer_model(str(path), None, OPTIONS)


def test_a_loop_without_a_bound_is_refused_by_the_line_that_makes_it():
    from torch._higher_order_ops.while_loop import while_loop

    class Endless(nn.Module):
        def forward(self, x):
            return while_loop(lambda y: y.sum() < 5, lambda y: (torch.tanh(y + x),), (x.clone(),))[0]

    with pytest.raises(
        CompileError,
        match=r"\(Loop, test_loops_torch.py:\d+: .*while_loop.*depends on data; count its steps by a number",
    ):
        integer_model(Endless().eval(), (torch.randn(1, 4),), OPTIONS)


@pytest.mark.parametrize("name", ["short_conv", "gru", "mamba2", "kda"])
def test_a_step_over_time_gives_the_integers_of_the_steps(name):
    step, _ = bench.integer(STEPS[name], 16)
    count, pairs = 6, states(step)
    model = over_time(step, count)
    proof = stages.prove(model)
    data = bench.data(STEPS[name], step, 3, count)
    initial = {str(v.name): np.zeros(shape(v), np.float32) for v in step.graph.inputs if v.name in dict(pairs)}
    stored = {str(v.name): next(n.outputs[0].name for n, _ in v.uses()) for v in step.graph.inputs}
    held, seen = dict(initial), []
    for t in range(count):
        values = interpreter.run(step, {**{k: x[t] for k, x in data.items()}, **held}, keep=True)
        seen.append(values)
        made = {str(v.name): v.producer().inputs[0].name for v in step.graph.outputs}
        held = {stored[before]: values[made[after]] for before, after in pairs}
    got = interpreter.run(model, {**data, **initial})
    for value, found in zip(
        model.graph.outputs, outputs(ir.to_proto(model).SerializeToString(), {**data, **initial}), strict=True
    ):
        np.testing.assert_array_equal(found, got[str(value.name)])
        last = value.name in dict(pairs).values()
        every = [v[str(value.name)] for v in seen]
        np.testing.assert_array_equal(got[str(value.name)], every[-1] if last else np.stack(every))
    if name == "kda":
        session = runtime.Session(llvm(OPTIONS)(model, proof))
        for key, found in session.run({**data, **initial}).items():
            np.testing.assert_array_equal(found, got[key])


def test_a_sequence_needs_steps_and_states():
    step, _ = bench.integer(STEPS["min_gru"], 4)
    with pytest.raises(ValueError, match=re.escape("got 0")):
        over_time(step, 0)
