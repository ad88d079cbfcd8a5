"""Operators of torch that the exporter alone would refuse or leave half-way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgegate.frontend import _static, load
from edgegate.graph import matches
from tests.frontend.test_load import check, run
from tests.grouped import grouped_mm


class Attends(nn.Module):
    """Attention among 6 tokens of 8 channels behind the axes ``lead``."""

    def __init__(self, lead: tuple[int, ...], mask: tuple[int, ...] | None, **how: Any) -> None:
        super().__init__()
        self.lead, self.how = lead, how
        keep = None if mask is None else torch.rand(mask, generator=torch.Generator().manual_seed(1)) < 0.7
        self.register_buffer("keep", keep if keep is None else keep | torch.eye(6, dtype=torch.bool))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = x.reshape(3, *self.lead, 6, 8)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=self.keep, **self.how)


@pytest.mark.parametrize(
    ("lead", "mask"),
    [
        ((), (6, 6)),
        ((2,), (2, 6, 6)),
        ((2, 3, 2), None),
        ((2, 3, 2), (2, 3, 2, 6, 6)),
        ((2, 3, 2), (2, 6, 6)),
        ((1, 2, 3, 2), (6, 6)),
    ],
)
def test_attention_of_any_rank(lead: tuple[int, ...], mask: tuple[int, ...] | None) -> None:
    x = torch.randn(1, 3 * math.prod(lead) * 6 * 8, generator=torch.Generator().manual_seed(0))
    net = Attends(lead, mask)
    check(load(net, example=(x,)), net, x)


@pytest.mark.parametrize("how", [{"is_causal": True}, {"scale": 0.5}])
def test_attention_in_windows_keeps_what_was_asked(how: dict[str, Any]) -> None:
    x = torch.randn(1, 3 * 2 * 2 * 2 * 6 * 8, generator=torch.Generator().manual_seed(0))
    net = Attends((2, 2, 2), None, **how)
    check(load(net, example=(x,)), net, x)


class Sorted(nn.Module):
    """Rows and the matrices of their groups, behind one another, as transformers computes its experts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups, order = torch.sort(x[:, :4].argmax(1))
        counts = torch.histc(groups.float(), bins=4, min=0, max=3)
        y = grouped_mm(x[order], self.weight, torch.cumsum(counts, 0, dtype=torch.int32))
        return torch.cat([y.flatten(), counts])


def test_rows_of_groups() -> None:
    x = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    x[:, 1] = -4.0  # a group without rows
    net = Sorted().eval()
    model = load(net, example=(x,))
    with torch.no_grad():
        np.testing.assert_allclose(run(model, x)[0], net(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("ends", [{"min": -1.0, "max": 1.0}, {"min": 0, "max": 3}])
def test_histograms_count(ends: dict[str, Any]) -> None:
    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.histc(x, bins=6, **ends)

    x = torch.cat([torch.randn(50, generator=torch.Generator().manual_seed(0)), torch.tensor([-1.0, 0, 1, 3, 9])])
    check(load(Counted(), example=(x,)), Counted(), x)


def test_weights_of_many_cells_are_put_in_order_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each LSTM's are made anew four times, and each time the last are let go of."""
    monkeypatch.setattr(_static, "_FOLD_FLOOR", 0)
    net, x = nn.LSTM(16, 16, num_layers=6, bidirectional=True), torch.randn(4, 1, 16)
    model = load(net.eval(), example=(x,))
    assert {n.op_type for n in model.graph} <= {"LSTM", "Transpose", "Reshape", "Concat", "Squeeze", "Slice"}
    assert len(matches(model, "LSTM")) == 6
    with torch.no_grad():
        wanted, _ = net(x)
    np.testing.assert_allclose(run(model, x)[0], wanted.numpy(), atol=2e-6)
