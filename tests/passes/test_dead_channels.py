"""Channels that change nothing leave; the function stays, to the bit where all sums are exact."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import frontend, stages
from edgegate.graph import array, shape
from edgegate.passes import FLOAT, run
from examples.engines import in_onnx_runtime


def whole(net, channels):
    """The network with small whole numbers as weights, of which some channels are dead."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.from_numpy(rng.integers(1, 4, tuple(parameter.shape)).astype(np.float32)))
        for weight, axis in channels(net):
            weight.index_fill_(axis, torch.tensor([0, 3]), 0)
    return net.eval()


def passed(net, dims):
    """The model behind the passes, inputs, and what torch and ONNX Runtime make of them."""
    x = torch.from_numpy(np.random.default_rng(1).integers(-3, 4, dims).astype(np.float32))
    model = frontend.load(net, example=(x,))
    run(model, FLOAT, stages.floating)
    found = in_onnx_runtime(ir.to_proto(model).SerializeToString())(x.numpy())
    with torch.no_grad():
        assert np.array_equal(found, net(x).numpy())
    return model


def layers(model):
    """Output channels of each layer, in order."""
    kinds = ("Conv", "Linear")
    return [
        shape(n.outputs[0])[1 if n.op_type == "Conv" else -1] for n in model.graph if n.op_type in kinds
    ]  # fmt: skip


class Masked(nn.Module):
    """A mask behind a pool, read by a convolution and by a flattened layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mask = nn.Conv2d(1, 6, 3), nn.Parameter(torch.ones(6))
        self.a, self.b = nn.Conv2d(6, 2, 1), nn.Linear(6 * 9, 2)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.first(x)), 2) * self.mask[:, None, None]
        return self.a(x).sum((2, 3)) + self.b(x.flatten(1))


class Depthwise(nn.Sequential):
    """A convolution of each channel alone between two layers that mix them."""

    def __init__(self, act) -> None:
        super().__init__(nn.Conv2d(2, 6, 1), act, nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 3, 1))


class Residual(nn.Module):
    """Two branches that end in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.c(torch.relu(self.a(x)) + self.b(x))


def test_a_mask_takes_the_channels_with_it():
    model = passed(whole(Masked(), lambda n: [(n.mask, 0)]), (2, 1, 8, 8))
    assert layers(model) == [4, 2, 2]
    assert "Mul" not in {n.op_type for n in model.graph}


def test_unread_channels_go_through_a_depthwise_convolution():
    model = passed(whole(Depthwise(nn.ReLU()), lambda n: [(n[4].weight, 1)]), (2, 2, 5, 5))
    assert layers(model) == [4, 4, 3]


def test_zero_channels_stay_zero_through_functions_that_keep_zero():
    net = Depthwise(nn.ReLU())
    model = passed(whole(net, lambda n: [(p, 0) for p in (n[0].weight, n[0].bias, n[2].bias)]), (2, 2, 5, 5))
    assert layers(model) == [4, 4, 3]


@pytest.mark.parametrize("part", ["a", "ab"])
def test_of_a_sum_both_terms_must_be_zero(part):
    def dead(net):
        chosen = [getattr(net, name) for name in part]
        return [(p, 0) for layer in chosen for p in (layer.weight, layer.bias)]

    model = passed(whole(Residual(), dead), (3, 4))
    assert layers(model) == ([6, 6, 2] if part == "a" else [4, 4, 2])


def test_outputs_and_biases_keep_their_channels():
    net = nn.Sequential(nn.Linear(4, 6))
    assert layers(passed(whole(net, lambda n: [(n[0].weight, 0), (n[0].bias, 0)]), (2, 4))) == [6]
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    assert layers(passed(whole(net, lambda n: [(n[0].weight, 0)]), (2, 4))) == [6, 2]


def test_one_channel_stays():
    net = whole(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), lambda n: [])
    with torch.no_grad():
        net[2].weight.zero_()
    model = passed(net, (2, 4))
    assert layers(model) == [1, 2]
    assert all((data := array(v)) is None or data.size for n in model.graph for v in n.inputs)
