"""Masked gated linear units: the formula, how they train, and that a compiled one stores one matrix."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import edgegate
from edgegate.nn import MaskedGLU


def layer(masks: int = 2) -> MaskedGLU:
    return MaskedGLU(12, 20, masks=masks, activation=F.silu, generator=torch.Generator().manual_seed(0))


def test_the_formula():
    made, x = layer(3), torch.randn(5, 12)
    wanted = torch.zeros(5, 20)
    for scores in made.scores:
        mask = scores > 0
        wanted += F.silu(x @ (made.weight * mask).T) * (x @ (made.weight * ~mask).T)
    torch.testing.assert_close(made(x), wanted)
    torch.testing.assert_close(made.eval()(x), wanted)
    assert 0.4 < float((made.scores > 0).float().mean()) < 0.6


def test_masks_are_binary_and_scores_have_the_gradient_of_masks():
    made = layer()
    masks = made.masks()
    assert set(masks.detach().flatten().tolist()) == {0.0, 1.0}
    weights = torch.randn_like(masks)
    (masks * weights).sum().backward()
    torch.testing.assert_close(made.scores.grad, weights)


def test_training_moves_masks_towards_a_better_fit():
    torch.manual_seed(0)
    x, teacher = torch.randn(256, 12), layer(1)
    with torch.no_grad():
        wanted = teacher(x)
    made = MaskedGLU(12, 20, masks=1)
    with torch.no_grad():
        made.weight.copy_(teacher.weight)
    before = (made.scores > 0).clone()
    steps = torch.optim.Adam(made.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        steps.zero_grad()
        loss = F.mse_loss(made(x), wanted)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert bool(((made.scores > 0) != before).any())


@pytest.mark.parametrize("masks", [1, 4])
def test_a_compiled_layer_stores_one_matrix(masks):
    net = nn.Sequential(layer(masks), nn.Linear(20, 4)).eval()
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(1)).numpy()
    artifact = edgegate.compile(net, (torch.from_numpy(x[:1]),), target="llvm", calib={"input": x})
    model = onnx.load_from_string(artifact.files["model.onnx"])
    assert Counter(n.op_type for n in model.graph.node)["MaskedMatMul"] == 1
    stored = {t.name: tuple(t.dims) for t in model.graph.initializer}
    (node,) = [n for n in model.graph.node if n.op_type == "MaskedMatMul"]
    assert [stored[name] for name in node.input[1:]] == [(12, 20), (masks, 12, 3), (2 * masks * 20,)]
    found = np.concatenate([artifact(row[None]) for row in x])
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    assert 10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()) > 28


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_layers(numbers):
    with pytest.raises(ValueError, match="impossible"):
        MaskedGLU(*numbers[:2], masks=numbers[2])
