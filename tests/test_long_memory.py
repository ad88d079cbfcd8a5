"""States that hardly forget: found by their decay, kept in 24 bits, as near to float as their inputs allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import edgegate
from edgegate import frontend, interpreter, passes, stages
from edgegate.calibration import calibration
from edgegate.graph import states
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.quant.long_memory import recurrences
from tests.families.bench import session

STEPS, WIDTH = 256, 8
MATRIX, ROW = (1, WIDTH, WIDTH), (1, WIDTH)


class Matrix(nn.Module):
    """S = a S + k v^T with a computed decay, or a constant one."""

    def __init__(self, decay: float, *, constant: bool = False) -> None:
        super().__init__()
        self.parts = nn.Linear(WIDTH, 4 * WIDTH)
        self.decay = decay if constant else None
        nn.init.constant_(self.parts.bias, float(np.log(decay / (1 - decay))))

    def forward(self, x, state):
        q, k, v, f = self.parts(x).chunk(4, -1)
        k, v = torch.tanh(k - self.parts.bias[:WIDTH]), torch.tanh(v - self.parts.bias[:WIDTH])
        a = torch.sigmoid(f).unsqueeze(-1) if self.decay is None else torch.full((1, WIDTH, 1), self.decay)
        state = state * a + k.unsqueeze(-1) * v.unsqueeze(-2)
        return (state * torch.tanh(q - self.parts.bias[:WIDTH]).unsqueeze(-1)).sum(-2), state


class Average(nn.Module):
    """h = (1 - z) h + z v."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.gate, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.constant_(self.gate.bias, float(np.log(share / (1 - share))))

    def forward(self, x, state):
        z = torch.sigmoid(self.gate(x))
        state = (1 - z) * state + z * self.value(x)
        return state * 2.0, state


class Leaky(nn.Module):
    """h = a h + v with one constant decay."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.value, self.decay = nn.Linear(WIDTH, WIDTH), decay

    def forward(self, x, state):
        state = state * self.decay + self.value(x)
        return state * 2.0, state


def floating(net: nn.Module, dims: tuple[int, ...]) -> ir.Model:
    model = frontend.load(net.eval(), example=(torch.zeros(ROW), torch.zeros(dims)), states=["1=1"])
    passes.run(model, passes.FLOAT, stages.floating)
    return model


def made(net: nn.Module, dims: tuple[int, ...]) -> tuple[ir.Model, Scheme]:
    model = floating(net, dims)
    data = np.random.default_rng(1).standard_normal((STEPS, *ROW), np.float32)
    scheme = quantize_scheme(model, calibration(model, {"": data}, 1), Recipe())
    to_integer(scheme)(model)
    passes.run(model, passes.INTEGER, stages.integer)
    return model, scheme


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, float]] = {
    "decay 0.999": (lambda: Matrix(0.999), MATRIX, "int16", 28.0),
    "decay 0.9999": (lambda: Matrix(0.9999), MATRIX, "int32", 27.0),
    "constant 0.99": (lambda: Matrix(0.99, constant=True), MATRIX, "int16", 28.0),
    "constant 0.99999": (lambda: Matrix(0.99999, constant=True), MATRIX, "int32", 27.0),
    "one for all 0.99": (lambda: Leaky(0.99), ROW, "int16", 38.0),
    "one for all 0.9999": (lambda: Leaky(0.9999), ROW, "int32", 38.0),
    "share 0.004": (lambda: Average(0.004), ROW, "int16", 40.0),
    "share 0.0001": (lambda: Average(0.0001), ROW, "int32", 29.0),
}


@pytest.mark.parametrize("name", CASES)
def test_slow_states_get_24_bits_and_come_near_to_float(name: str):
    make, dims, dtype, floor = CASES[name]
    torch.manual_seed(0)
    net = make()
    model, scheme = made(net, dims)
    ((before, after),) = states(model)
    assert scheme.values[before] == scheme.values[after] and scheme.values[before].dtype == dtype
    (shown,) = {str(v.name) for v in model.graph.outputs} - {after}
    x, exact = np.random.default_rng(2).standard_normal((STEPS, *ROW), np.float32), net.double()
    state, real, engine = np.zeros(dims, np.float32), torch.zeros(dims, dtype=torch.float64), session(model)
    error = power = 0.0
    for i, row in enumerate(x):
        feed = {str(model.graph.inputs[0].name): row, before: state}
        found = interpreter.run(model, feed)
        if i % 64 == 0:
            for key, value in zip(found, engine.run(list(found), feed), strict=True):
                np.testing.assert_array_equal(value, found[key])
        state = found[after]
        with torch.no_grad():
            want, real = exact(torch.from_numpy(row).double(), real)
        error, power = error + float(((found[shown] - want.numpy()) ** 2).sum()), power + float((want**2).sum())
    assert 10 * np.log10(power / error) > floor


def test_a_recurrence_is_what_multiplies_and_what_adds():
    ((decayed,), (averaged,)) = (recurrences(floating(n, d)) for n, d in ((Matrix(0.9), MATRIX), (Average(0.1), ROW)))
    assert not decayed.direct and len(decayed.factors) == len(decayed.addends) == 1
    assert averaged.direct and len(averaged.factors) == len(averaged.addends) == 1
    (factor,) = (str(v.name) for v in averaged.factors)
    assert averaged.leak({factor: np.array([0.5, 0.01])}) == pytest.approx(0.01)
    (factor,) = (str(v.name) for v in decayed.factors)
    assert decayed.leak({factor: np.array([0.5, 0.99])}) == pytest.approx(0.01)


def test_of_factors_in_a_row_all_make_a_state_forget():
    class Flagged(nn.Module):
        def forward(self, x, state):
            state = (1 - torch.relu(x)) * state * torch.sigmoid(x) + x
            return state * 2.0, state

    (found,) = recurrences(floating(Flagged(), ROW))
    first, second = (str(v.name) for v in found.factors)
    means = {first: np.array([1.0, 0.5]), second: np.array([0.25, 0.5])}
    assert found.leak(means) == pytest.approx(0.5) == found.leak({second: means[first], first: means[second]})


def test_a_queue_is_no_recurrence():
    class Queue(nn.Module):
        def forward(self, x, queue):
            queue = torch.cat([queue[:, WIDTH:], x], -1)
            return queue.sum(-1, keepdim=True), queue

    assert not recurrences(floating(Queue(), (1, 2 * WIDTH)))


def test_a_state_fades_in_silence():
    net = Leaky(0.9999)
    net.value = nn.Identity()
    data = np.random.default_rng(1).standard_normal((STEPS, *ROW), np.float32)
    artifact = edgegate.compile(net.eval(), (torch.zeros(ROW), torch.zeros(ROW)), state={"state": 1}, calib={"": data})
    heard = artifact.session().steps(np.concatenate([data[:1], np.zeros((4096, *ROW), np.float32)]))
    np.testing.assert_allclose(heard[-1], heard[0] * 0.9999**4096, atol=np.abs(heard[0]).max() / 50)
