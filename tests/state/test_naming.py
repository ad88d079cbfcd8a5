"""Which inputs and outputs are states, and what cannot be one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import edgegate
from edgegate import frontend
from edgegate.errors import CompileError, InputError
from edgegate.graph import states
from edgegate.options import CompileOptions
from edgegate.sequences import over_time, runs
from tests.state.steps import EXAMPLE, STATE, Leaky, X, storage


class Step(nn.Module):
    def __init__(self, after):
        super().__init__()
        self.after = after

    def forward(self, x, h):
        return self.after(x, h)


PAIR = (torch.zeros(1, 4), torch.zeros(1, 4))


def pairs(after, *wanted):
    model = frontend.load(Step(after), example=PAIR, states=wanted)
    return states(model), [v.name for v in model.graph.outputs]


def test_places_and_names():
    assert pairs(lambda x, h: (x + h, x * h), "h=mul") == ([("h", "mul")], ["add", "mul"])
    assert pairs(lambda x, h: (x + h, x * h), "1=0") == ([("h", "add")], ["add", "mul"])
    assert pairs(lambda x, h: x + h, "h=0") == ([("h", "add")], ["add"])


def test_a_state_that_is_another_value_needs_no_output():
    assert pairs(lambda x, h: (x + h, x), "h=1") == ([("h", "x")], ["add"])

    def twice(x, h):
        y = x + h
        return y, y

    assert pairs(twice, "h=1") == ([("h", "add")], ["add"])


@pytest.mark.parametrize(
    ("after", "wanted", "message"),
    [
        (lambda x, h: (x, x * h), "h=1", "output x: is input x itself"),
        (lambda x, h: (x + h, x[:, :3]), "h=1", r"gives state h back as float\[1, 3\], but takes it as float\[1, 4\]"),
        (lambda x, h: (x + h, torch.ones(1, 4)), "h=1", "makes state h a constant"),
        (lambda x, h: (x + h, x * h), "g=1", "state g: is no input: the inputs are x, h"),
        (lambda x, h: (x + h, x * h), "h=mull", "is no output: the outputs are add, mul; .*did you mean 'mul'"),
        (lambda x, h: (x + h, x * h), "h=2", "is no output"),
    ],
)
def test_what_is_no_state(after, wanted, message):
    with pytest.raises(CompileError, match=message):
        pairs(after, wanted)


def test_a_changed_shape_is_told_with_its_line():
    with pytest.raises(CompileError, match=r"test_naming\.py:\d+: "):
        pairs(lambda x, h: (x + h, x[:, :3]), "h=1")


def test_options():
    assert CompileOptions(state={"h": 1, 2: "g"}).states == ("h=1", "2=g")
    assert CompileOptions(state="h=g").states == ("h=g",)
    for wrong in ("h", "=g", ("h=g", "h=f")):
        with pytest.raises(ValueError, match="state must be INPUT=OUTPUT"):
            CompileOptions(state=wrong)


def test_over_time():
    x = np.arange(24.0).reshape(4, 1, 6)
    assert np.array_equal(over_time(x, (1, 6), "x"), x[None])
    assert np.array_equal(over_time(x[:, 0], (1, 6), "x"), x[None])
    many = np.arange(72.0).reshape(4, 3, 6)  # four sequences of three steps, two at a time
    made = over_time(many, (2, 6), "x")
    assert made.shape == (2, 3, 2, 6) and np.array_equal(made[1, 2, 0], many[2, 2])
    assert over_time(many[:, :2], (2, 6), "x").shape == (1, 4, 2, 6)  # steps of a whole batch, where both would do
    for wrong in (np.zeros((4, 5)), np.zeros((0, 6)), np.zeros(6)):
        with pytest.raises(InputError, match="input 'x'"):
            over_time(wrong, (1, 6), "x")


def test_runs_need_equal_lengths():
    with pytest.raises(InputError, match="differ in sequences and steps"):
        list(runs({"x": np.zeros((3, 1)), "y": np.zeros((4, 1))}, {"x": (1,), "y": (1,)}))
    with pytest.raises(InputError, match="expected data of x, got y"):
        list(runs({"y": np.zeros((4, 1))}, {"x": (1,)}))


def test_sequences_start_afresh():
    """Calibrating on a sequence in two halves sees less of a state than on the whole of it."""
    torch.manual_seed(0)
    net = Step(lambda x, h: (h * 2.0, h + x))
    data = np.ones((16, 4), np.float32)
    reach = []
    for calib in (data, data.reshape(2, 8, 4)):
        made = edgegate.compile(net, PAIR, state={"h": 1}, calib={"": calib})
        reach.append(storage(made.manifest.inputs[1]).scale)
    assert reach[0] == pytest.approx(2 * reach[1], rel=1e-3)


def test_without_data():
    torch.manual_seed(0)
    made = edgegate.compile(Leaky(), EXAMPLE, state=STATE)
    calibrated = edgegate.compile(Leaky(), EXAMPLE, state=STATE, calib={"": X})
    scales = [storage(art.manifest.inputs[1]).scale for art in (made, calibrated)]
    assert 0.5 < scales[0] / scales[1] < 4


def test_inputs_of_one_example_stay_apart():
    """To torch.export, two inputs that are one tensor are one input."""
    row = torch.zeros(1, 4)
    model = frontend.load(Step(lambda x, h: x - 2 * h), example=(row, row))
    assert {v.name for node in model.graph for v in node.inputs if v is not None} >= {"x", "h"}
