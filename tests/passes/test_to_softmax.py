"""However a softmax is written, it becomes one, and the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegate import frontend, stages
from edgegate.passes import FLOAT, run
from edgegate.quant import execute


class Open(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def share(e, dim=-1, faint=0.0):
    return e / (e.sum(dim, keepdim=True) + faint)


def below(x, dim=-1):
    return x - x.amax(dim, keepdim=True)


CAUSAL = torch.ones(6, 6).tril().bool()
FORMS = {
    "exponentials": (lambda x: share(x.exp()), "Softmax"),
    "below the maximum": (lambda x: share(below(x).exp()), "Softmax"),
    "over the middle": (lambda x: share(below(x, 1).exp(), 1), "Softmax"),
    "with a faint constant": (lambda x: share(below(x).exp(), faint=1e-6), "Softmax"),
    "at least a faint constant": (
        lambda x: (lambda e: e / e.sum(-1, keepdim=True).clamp(min=1e-8))(below(x).exp()),
        "Softmax",
    ),
    "one beside the sum": (lambda x: x.exp() / (1 + x.exp().sum(-1, keepdim=True)), "Softmax"),
    "a number beside a sum": (lambda x: share(x.exp(), 1, 0.3), "Softmax"),
    "twice below": (lambda x: F.softmax(below(x), -1), "Softmax"),
    "with what rows share": (lambda x: F.softmax(x + x[..., :1] - 3, -1), "Softmax"),
    "masked": (lambda x: share(below(torch.where(CAUSAL, x, torch.tensor(-1e9))).exp()), "MaskedSoftmax"),
    "masked beside a sink": (
        lambda x: F.softmax(torch.cat([x.masked_fill(~CAUSAL, -torch.inf), x[..., :1] * 2], -1), -1),
        "MaskedSoftmax",
    ),
    "masked beside others": (
        lambda x: F.softmax(torch.cat([x.masked_fill(x < -1, -torch.inf), x + CAUSAL[1].log(), x[:, :2]], 1), 1),
        "MaskedSoftmax",
    ),
    "logarithm": (lambda x: torch.log(F.softmax(x, -1)), "LogSoftmax"),
    "less logsumexp": (lambda x: x - x.logsumexp(-1, keepdim=True), "LogSoftmax"),
    "logsumexp": (lambda x: x.logsumexp(1), "LogSoftmax"),
    "log_softmax": (lambda x: F.log_softmax(x, 1), "LogSoftmax"),
}


@pytest.mark.parametrize("name", FORMS)
def test_it_is_found_and_the_same(name):
    function, op = FORMS[name]
    x = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0)) * 3
    model = frontend.load(Open(function), example=(x,))
    run(model, FLOAT, stages.floating)
    types = [node.op_type for node in model.graph]
    assert op in types and not {"Exp", "Log", "ReduceLogSumExp", "Div", "ReduceSum"} & set(types)
    (values,) = execute.run(model, [{str(model.graph.inputs[0].name): x.numpy()}])
    np.testing.assert_allclose(values[str(model.graph.outputs[0].name)], function(x), atol=2e-5)


OTHERS = {
    "another sum": lambda x: x.exp() / x.exp().sum(1, keepdim=True).exp().sum(-1, keepdim=True),
    "another base": lambda x: x.exp() / (2 * x).exp().sum(-1, keepdim=True),
    "a loud limit": lambda x: x.exp() / x.exp().sum(-1, keepdim=True).clamp(min=0.1),
    "a limit on both sides": lambda x: x.exp() / x.exp().sum(-1, keepdim=True).clamp(min=1e-6, max=9.0),
    "two axes": lambda x: share(x.exp(), (1, 2)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_left_alone(name):
    model = frontend.load(Open(OTHERS[name]), example=(torch.ones(2, 6, 6),))
    run(model, FLOAT, stages.floating)
    assert "Softmax" not in {node.op_type for node in model.graph}


def test_a_mask_of_whole_rows_stays_a_mask():
    rows = torch.where(torch.arange(6)[:, None] < 3, 0.0, float("-inf"))
    model = frontend.load(Open(lambda x: F.softmax(x + rows, -1)), example=(torch.ones(2, 6, 6),))
    run(model, FLOAT, stages.floating)
    assert "MaskedSoftmax" in {node.op_type for node in model.graph}
