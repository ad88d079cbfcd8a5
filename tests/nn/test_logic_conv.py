"""Trees of gates over windows: against a tree evaluated leaf by leaf."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgegate.nn import LogicConv2d, relaxed

SHAPES = [
    {"kernel_size": 3, "depth": 1},
    {"kernel_size": 3, "depth": 3, "padding": 1},
    {"kernel_size": 2, "depth": 2, "stride": 2},
    {"kernel_size": 5, "depth": 4, "stride": 3, "padding": 2, "channel_group": 2},
    {"kernel_size": 1, "depth": 2, "channel_group": 1},
]


def by_hand(conv: LogicConv2d, image: np.ndarray, tree: int, row: int, column: int) -> int:
    """One tree at one place of an image [C, H, W] of bits."""
    padded = np.pad(image, [(0, 0), (conv.padding,) * 2, (conv.padding,) * 2])
    values = [int(padded[c, row * conv.stride + y, column * conv.stride + x]) for c, y, x in conv.leaves[tree].tolist()]
    ids, first = conv.gates().tolist(), 0
    while len(values) > 1:
        gates = len(values) // 2
        own = ids[first + tree * gates :][:gates]
        first += conv.out_channels * gates
        values = [g >> (3 - (2 * a + b)) & 1 for g, a, b in zip(own, values[::2], values[1::2], strict=True)]
    return values[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("parametrization", ["raw", "input-wise"])
def test_eval_is_the_tree_at_every_place(shape, parametrization):
    torch.manual_seed(0)
    conv = LogicConv2d(3, 4, **shape, parametrization=parametrization, initialization="random").eval()
    images = torch.randint(0, 2, (2, 3, 7, 6)).float()
    found = conv(images)
    for n, tree, row, column in np.ndindex(*found.shape):
        assert found[n, tree, row, column] == by_hand(conv, images[n].numpy(), tree, row, column)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mixtures_of_one_gate_each_are_the_tree(shape):
    torch.manual_seed(1)
    conv = LogicConv2d(3, 4, **shape, initialization="random", temperature=1e-3).eval()
    images = torch.randint(0, 2, (5, 3, 7, 6)).float()
    with relaxed(conv):
        soft = conv(images)
    assert torch.allclose(soft, conv(images), atol=1e-3)


def test_gradients_are_those_of_finite_differences():
    conv = LogicConv2d(2, 2, 2, 2, stride=2, padding=1, initialization="random", parametrization="input-wise").double()
    x = torch.rand(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def run(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, (x, conv.weight))


def test_leaves_are_different_places_of_neighbouring_channels():
    conv = LogicConv2d(8, 50, 3, 4, channel_group=2)
    for tree in conv.leaves.tolist():
        assert len({tuple(leaf) for leaf in tree}) == 16
        channels = {leaf[0] for leaf in tree}
        assert len(channels) <= 2 and (max(channels) - min(channels)) in (0, 1, 7)


@pytest.mark.parametrize(
    "change", [{"depth": 0}, {"stride": 0}, {"padding": -1}, {"channel_group": 4}, {"channel_group": 0}], ids=str
)
def test_impossible_trees_are_refused(change):
    with pytest.raises(ValueError, match="impossible trees"):
        LogicConv2d(**{"in_channels": 3, "out_channels": 2, "kernel_size": 3, "depth": 2, **change})


def test_images_that_do_not_fit_are_refused():
    conv = LogicConv2d(3, 2, 3, 1)
    for shape, message in (((1, 2, 5, 5), "expected"), ((3, 5, 5), "expected"), ((1, 3, 2, 5), "does not fit")):
        with pytest.raises(ValueError, match=message):
            conv(torch.zeros(shape))
