"""However a norm is written, it becomes RowNorm with its gains behind it, and the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegate import frontend, stages
from edgegate.graph import attribute
from edgegate.passes import FLOAT, run
from edgegate.quant import execute


class Open(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def standard(x, dim):
    off = x - x.mean(dim, keepdim=True)
    return off / torch.sqrt(off.pow(2).mean(dim, keepdim=True) + 1e-5)


ROWS, IMAGE = (2, 5, 8), (2, 8, 4, 3)
NORMS = {
    "layer": (nn.LayerNorm(8), ROWS, (1, 1)),
    "layer of two axes": (nn.LayerNorm((5, 8)), ROWS, (1, 1)),
    "layer without gain": (nn.LayerNorm(8, elementwise_affine=False), ROWS, (1, 1)),
    "rms": (nn.RMSNorm(8), ROWS, (0, 1)),
    "group": (nn.GroupNorm(4, 8), IMAGE, (1, 1)),
    "instance": (nn.InstanceNorm2d(8, affine=True), IMAGE, (1, 1)),
    "l2": (Open(lambda x: F.normalize(x, dim=-1)), ROWS, (0, 0)),
    "l2 of channels": (Open(lambda x: F.normalize(x, dim=1)), IMAGE, (0, 0)),
    "rsqrt of a mean": (Open(lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)), ROWS, (0, 1)),
    "rsqrt of a sum": (Open(lambda x: torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6) * x), ROWS, (0, 0)),
    "root of the width": (Open(lambda x: x / (x.norm(2, -1, keepdim=True) * 8**-0.5 + 1e-6)), ROWS, (0, 1)),
    "twice the length": (Open(lambda x: x / (2 * x.norm(2, -1, keepdim=True))), ROWS, (0, 1)),
    "variance": (
        Open(lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()),
        ROWS, (1, 1),
    ),
    "open code over channels": (Open(lambda x: standard(x, 1)), IMAGE, (1, 1)),
    "open code over places": (Open(lambda x: standard(x, (2, 3))), IMAGE, (1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS)
def test_it_is_found_and_the_same(name):
    net, dims, kind = NORMS[name]
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, 1, 0.3)
    x = torch.randn(dims) * 3 + 1
    model = frontend.load(net, example=(x,))
    run(model, FLOAT, stages.floating)
    (norm,) = [node for node in model.graph if node.op_type == "RowNorm"]
    assert (attribute(norm, "centre"), attribute(norm, "mean")) == kind
    assert {n.op_type for n in model.graph} <= {"RowNorm", "Affine", "Reshape", "Transpose", "Mul", "Add", "Scalar_1"}
    (values,) = execute.run(model, [{str(model.graph.inputs[0].name): x.numpy()}])
    np.testing.assert_allclose(values[str(model.graph.outputs[0].name)], net(x).detach(), atol=1e-5)


OTHERS = {
    "another divisor": lambda x: x / (x * 2).norm(2, -1, keepdim=True).square(),
    "a loud constant": lambda x: x / (x.norm(2, -1, keepdim=True) + 1),
    "another mean": lambda x: (x - x.mean(1, keepdim=True)) / x.pow(2).mean(-1, keepdim=True).add(1e-5).sqrt(),
    "cubes": lambda x: x / x.pow(3).abs().mean(-1, keepdim=True).add(1e-5).sqrt(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_left_alone(name):
    model = frontend.load(Open(OTHERS[name]), example=(torch.ones(2, 5, 8),))
    run(model, FLOAT, stages.floating)
    assert "RowNorm" not in {node.op_type for node in model.graph}


def test_a_row_of_zeros_is_zeros():
    model = frontend.load(Open(lambda x: F.normalize(x, dim=-1)), example=(torch.ones(2, 8),))
    run(model, FLOAT, stages.floating)
    (values,) = execute.run(model, [{"x": np.zeros((2, 8), np.float32)}])
    assert not values[str(model.graph.outputs[0].name)].any()
