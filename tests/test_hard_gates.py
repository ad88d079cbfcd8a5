"""Comparisons become thresholds on raw accumulators: the bits are those of exact arithmetic, at every tie."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.graph import array
from edgegate.passes._inverse import Unreachable, logit
from edgegate.passes.to_integer._lowering import NotLowerable, Sums
from edgegate.passes.to_integer.hard_gates import _thresholds
from tests.gated_nets import Compared, integer_model, rows

FORMS = {
    "greater": lambda z: torch.sigmoid(z) > 0.7,
    "mirrored": lambda z: torch.tensor(0.65) < torch.sigmoid(z),
    "at least": lambda z: torch.sigmoid(z) >= 0.3,
    "less": lambda z: torch.sigmoid(z) < 0.6,
    "at most": lambda z: torch.sigmoid(z) <= 0.55,
    "plain": lambda z: z > 0.25,
    "tanh": lambda z: torch.tanh(z) > -0.4,
    "exp": lambda z: torch.exp(z) > 1.5,
    "falling": lambda z: torch.sigmoid(1 - 2 * z) > 0.7,
    "cold": lambda z: torch.sigmoid((z + 0.125) / 0.5) >= 0.5,
    "each its own": lambda z: torch.sigmoid(z) > torch.tensor([0.2, 0.5, 0.8]),
}


HALVES = {
    torch.gt: ("Greater", 0),
    torch.ge: ("Greater", -1),
    torch.le: ("LessOrEqual", 0),
    torch.lt: ("LessOrEqual", -1),
}


@pytest.fixture(scope="module")
def compared():
    """A layer compared in every form, then with one half: the net, the graph, its comparisons in order."""
    halves = [lambda z, f=form: f(torch.sigmoid(z), 0.5) for form in HALVES]
    net = Compared(*FORMS.values(), *halves)
    model = integer_model(net, rows())
    return net, model, [n for n in model.graph if n.op_type in ("Greater", "LessOrEqual")]


def test_every_form_compares_the_raw_accumulator(compared):
    net, model, nodes = compared
    assert len(nodes) == len(net.conditions)
    assert {n.inputs[0].producer().op_type for n in nodes} == {"MatMul"}
    for row in rows():
        values = interpreter.run(model, {str(model.graph.inputs[0].name): row[None]}, keep=True)
        z = net.layer(torch.from_numpy(row[None])).detach()
        for condition, node in zip(net.conditions, nodes, strict=True):
            met, wanted = values[node.outputs[0].name], condition(z).numpy()
            away = condition(z + 0.06).numpy() == condition(z - 0.06).numpy()
            assert met.shape == wanted.shape and np.array_equal(met[away], wanted[away])


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 10), st.fractions(-50, 50), st.booleans(), st.integers(-300, 300), st.booleans())
def test_thresholds_are_exact_at_every_tie(scale, bound, strict, zero, tie):
    step = Fraction(scale)
    if tie:
        bound = step * (int(bound) - zero)
    value = ir.Value(name="acc", shape=ir.Shape([1, 1]), type=ir.TensorType(ir.DataType.INT32))
    sums = Sums(value=value, scales=(step,), order=(0, 1), zero_point=zero)
    (threshold,) = _thresholds(sums, [bound], np.zeros((), np.float32), strict).tolist()
    for q in range(threshold - 2, threshold + 4):
        real = step * (q - zero)
        assert (q > threshold) == (real > bound if strict else real >= bound)


def test_a_sigmoid_of_one_half_is_a_logit_of_zero(compared):
    for node, (op, threshold) in zip(compared[2][len(FORMS) :], HALVES.values(), strict=True):
        data = array(node.inputs[1])
        assert node.op_type == op and data is not None and set(data.reshape(-1).tolist()) == {threshold}


def test_logits_have_sixty_digits():
    for p in (Fraction(1, 3), Fraction(7, 10), Fraction(999, 1000)):
        assert abs(float(logit(p)) - float(np.log(float(p / (1 - p))))) < 1e-14
    assert logit(Fraction(1, 2)) == 0 and abs(logit(Fraction(1, 4)) + logit(Fraction(3, 4))) < Fraction(1, 10**55)
    for p in (Fraction(0), Fraction(1), Fraction(3, 2)):
        with pytest.raises(Unreachable):
            logit(p)


def test_a_threshold_outside_of_the_sigmoid_is_refused():
    with pytest.raises(CompileError, match="always open, or never") as caught:
        integer_model(Compared(lambda z: torch.sigmoid(z) > 1.5), rows())
    text = str(caught.value)
    assert "gated_nets.py" in text and "between 0 and 1" in text


def test_a_threshold_past_the_accumulator_is_refused():
    with pytest.raises(CompileError, match="past the int32 that sums it"):
        integer_model(Compared(lambda z: z > 1e9), rows())
    value = ir.Value(name="acc", shape=ir.Shape([1, 1]), type=ir.TensorType(ir.DataType.INT64))
    sums = Sums(value=value, scales=(Fraction(1),), order=(0, 1))
    assert _thresholds(sums, [Fraction(2**40)], np.zeros((), np.float32), True).dtype == np.int64
    with pytest.raises(NotLowerable, match="int48"):
        _thresholds(sums, [Fraction(2**47)], np.zeros((), np.float32), True)


class Masks(torch.nn.Module):
    """Products with bits, and a rounded sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = torch.nn.Linear(5, 4), torch.nn.Linear(5, 4)

    def forward(self, x):
        bits = (torch.sigmoid(self.b(x)) > 0.6).float()
        return self.a(x) * bits, torch.round(torch.sigmoid(self.b(x))) * self.a(x)


def test_masked_values_are_themselves_or_zero():
    net, x = Masks(), rows()
    model = integer_model(net, x)
    kinds = [n.op_type for n in model.graph]
    assert kinds.count("Greater") == 2 and kinds.count("Where") == 2 and "Table" not in kinds
    for row in x[:16]:
        found = list(interpreter.run(model, {str(model.graph.inputs[0].name): row[None]}).values())
        wanted = [y.detach().numpy() for y in net(torch.from_numpy(row[None]))]
        z = net.b(torch.from_numpy(row[None])).detach().numpy()
        for y, real, limit in zip(found, wanted, (np.log(1.5), 0.0), strict=True):
            away = abs(z - limit) > 0.06
            assert np.allclose(y[away], real[away], atol=0.06)
            assert (y[away & (real == 0)] == 0).all()


def test_functions_of_one_number_keep_their_comparisons():
    class Beyond(torch.nn.Module):
        def forward(self, x):
            return torch.where(x > 1, x, torch.nn.functional.softplus(x))

    model = integer_model(Beyond(), rows())
    assert {n.op_type for n in model.graph} & {"Greater", "LessOrEqual"} == set()
