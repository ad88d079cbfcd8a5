"""Layers that lack what decides their outputs are refused, by name and with what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgegate.errors import CompileError
from edgegate.frontend import logic
from tests.frontend.logic.layers import dense, gates, light, sums, tables
from tests.frontend.logic.standins import case, stand_in


def nan(*shape: int) -> nn.Parameter:
    weight = torch.zeros(shape)
    weight[-1, -1] = torch.nan
    return nn.Parameter(weight)


def ones(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape))


def failing(x):
    raise RuntimeError("no")


WIRED = stand_in("torchlogix.connections", "FixedDenseConnections", indices=torch.full((2, 8), 6))
EMPTY = stand_in("torchlogix.connections", "FixedDenseConnections")

REFUSED = {
    "no indices": (lambda: gates(6, 8, indices=None), "has no indices.*difflogic keeps indices out"),
    "one index": (lambda: gates(6, 8, indices=(torch.zeros(8).long(),)), "not two of one length"),
    "two lengths": (lambda: gates(6, 8, indices=(torch.zeros(8).long(), torch.zeros(7).long())), "of one length"),
    "real indices": (lambda: gates(6, 8, indices=(torch.zeros(8), torch.zeros(8))), "not a tensor of integers"),
    "past the end": (lambda: gates(6, 8, indices=(torch.full((8,), 6),) * 2), "inputs 6 to 6, where there are 6"),
    "before the start": (lambda: gates(6, 8, indices=(torch.full((8,), -1),) * 2), "reads inputs -1"),
    "NaN": (lambda: gates(6, 8, weights=nan(8, 16)), "weights holds NaN; check the training run"),
    "other weights": (lambda: gates(6, 8, weights=ones(8, 15)), r"shape \[8, 15\], not \[any, 16\]"),
    "whole weights": (lambda: gates(6, 8, weights=torch.ones(8, 16).long()), "not a tensor of floats"),
    "fewer weights": (lambda: gates(6, 8, weights=ones(7, 16)), "for 8 gates"),
    "light NaN": (lambda: light(weights=nan(8, 4)), "holds NaN"),
    "unknown activation": (lambda: light(act_fn=torch.tanh), "neither sigmoid nor"),
    "nearly sigmoid": (lambda: light(act_fn=lambda w: torch.sigmoid(1.001 * w)), "neither sigmoid nor"),
    "activation to one": (lambda: light(act_fn=lambda w: torch.sigmoid(w).sum()), "neither sigmoid nor"),
    "failing activation": (lambda: light(act_fn=failing), "its act_fn fails .RuntimeError"),
    "no activation": (lambda: light(act_fn=None, act_fn_str="relu"), "no activation that is known"),
    "no tau": (lambda: sums(tau=None), "has no tau.*neither k nor tau"),
    "no k": (lambda: sums(k=None), "has no k"),
    "tau of 0": (lambda: sums(tau=0.0), "tau=0"),
    "tau below 0": (lambda: sums(tau=-2.0), "tau=-2"),
    "infinite tau": (lambda: sums(tau=float("inf")), "no finite number"),
    "k of 0": (lambda: sums(k=0), "k=0"),
    "half a class": (lambda: sums(k=2.5), "k=2.5"),
    "infinite beta": (lambda: sums("torchlogix.layers.groupsum", beta=float("nan")), "beta=nan"),
    "weighted sum": (lambda: sums(weights=nn.Parameter(torch.tensor([1.0, 0.5]))), "weighs its bits"),
    "raw of 4": (lambda: dense(rank=4, kind="Raw", weight=ones(8, 1 << 16)), "4 inputs with raw weights"),
    "eight inputs": (lambda: dense(rank=8), "gates of 8 inputs; train it with gates of 1 to 6"),
    "other kind": (lambda: dense(kind="Fourier"), "unknown parametrization FourierLUTParametrization"),
    "no kind": (lambda: dense(parametrization=None), "has no parametrization"),
    "numbers": (lambda: dense(weight=ones(8, 5)), "5 numbers for a light gate of 2 inputs, not 4"),
    "cancelling": (lambda: dense(kind="Warp", weight=nn.Parameter(torch.full((8, 4), torch.inf))), "infinite"),
    "no wiring": (lambda: dense(connections=EMPTY), "no connections.indices"),
    "wrong wiring": (lambda: dense(connections=WIRED), "inputs 6 to 6"),
    "seven inputs": (lambda: tables(n=7), "gates of 7 inputs"),
    "real outputs": (lambda: tables(ste=False), "ste=False"),
    "no mapping": (lambda: tables(mapping=None), "has no mapping"),
    "tables and wires": (lambda: tables(luts=ones(8, 4)), r"tables of shape \[8, 4\] for 8 gates of 3 inputs"),
    "unfitted": (lambda: stand_in("torch_dwn.binarization", "Thermometer", thresholds=None), "no thresholds.*fit it"),
    "no thresholds": (lambda: stand_in("torchlogix.layers.binarization", "FixedBinarization"), "no thresholds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, message = REFUSED[name]
    net = nn.Sequential(nn.Linear(3, 6), nn.Sequential(make()))
    with pytest.raises(CompileError, match=f"(?s)^1.0 .*{message}"):
        logic.plain(net)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan, np.pi])
def test_thresholds_that_no_float_holds(bad):
    found = torch.tensor([bad], dtype=torch.float64)
    layer = stand_in("torchlogix.layers.binarization", "FixedBinarization", thresholds=found, feature_dim=-2)
    with pytest.raises(CompileError, match=r"finite|NaN|float32"):
        logic.plain(layer)


def test_all_layers_are_named_at_once():
    net = nn.Sequential(gates(6, 8, indices=None), gates(8, 4), sums(tau=None))
    with pytest.raises(CompileError) as caught:
        logic.plain(net)
    assert [p.where for p in caught.value.problems] == ["0 (difflogic LogicLayer)", "2 (difflogic GroupSum)"]


def test_a_layer_in_two_places_is_named_once():
    net = nn.Sequential(gates(6, 8))
    net.spare = [gates(8, 8, indices=None), net[0]]
    net.again = {"once more": net.spare[0]}
    with pytest.raises(CompileError) as caught:
        logic.plain(net)
    assert [p.where for p in caught.value.problems] == ["spare (difflogic LogicLayer)"]


def test_a_forward_of_the_users_own():
    base = type(gates(6, 8))
    net = gates(6, 8)
    net.__class__ = type("Mine", (base,), {"__module__": "mine", "forward": lambda self, x: 1 - x})
    with pytest.raises(CompileError, match="a forward of its own"):
        logic.plain(net)
    net.__class__ = type("Mine", (base,), {"__module__": "mine"})
    logic.plain(net)
    net.forward = lambda x: x
    with pytest.raises(CompileError, match="a forward of its own"):
        logic.plain(net)


def test_hooks():
    layer = gates(6, 8)
    handle = layer.register_forward_hook(lambda module, given, out: 1 - out)
    with pytest.raises(CompileError, match="forward hooks"):
        logic.plain(nn.Sequential(layer))
    handle.remove()
    logic.plain(nn.Sequential(layer))


def test_a_depth_axis_that_was_not_padded():
    """torchlogix before 0.2.2 pads height and width of three axes, and reads past the end."""
    model, *_ = case("torchlogix-0.1.1", "conv 3d")
    model.padding = 1
    with pytest.raises(CompileError, match="two of three axes"):
        logic.plain(model)


@pytest.mark.parametrize(("change", "message"), [
    ({"in_dim": (3, 3)}, "where there are"),
    ({"num_kernels": 3}, "wiring of shape"),
    ({"stride": 2}, "positions for a grid"),
    ({"tree_weights": nn.ParameterList()}, "0 levels of gates"),
])  # fmt: skip
def test_convolutions_that_contradict_themselves(change, message):
    model, *_ = case("torchlogix-0.1.1", "conv 0 raw 2")
    for name, value in change.items():
        setattr(model, name, value)
    with pytest.raises(CompileError, match=message):
        logic.plain(model)


def test_images_of_another_size():
    """The real layer reads by row and column, of which a flat image of another width has others."""
    model, *_ = case("torchlogix-0.2.2", "conv 0 raw 2")
    with pytest.raises(ValueError, match="images of"):
        logic.plain(model)(torch.zeros(2, 1, 6, 6))
