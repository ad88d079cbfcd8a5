# mypy: disable-error-code="union-attr, arg-type, type-var, index"
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegate.graph import array, constant
from edgegate.quant.folds import fold_blocks, tied_blocks
from tests.quant.folds.blocks import Attention, Block, SwiGLU
from tests.quant.folds.nets64 import layers, net, outputs, same


def matrices(count, size, seed=2):
    return np.random.default_rng(seed).standard_normal((count, size, size))


def undo(model, node, blocks):
    """Let a layer read ``blocks @ x``."""
    data, inverse = array(node.inputs[1]), np.linalg.inv(blocks).transpose(0, 2, 1)
    if node.op_type == "Linear":
        new = (inverse @ data.reshape(len(blocks), blocks.shape[1], -1)).reshape(data.shape)
    else:
        turned = np.moveaxis(data, 1, 0)
        new = np.moveaxis((inverse @ turned.reshape(len(blocks), blocks.shape[1], -1)).reshape(turned.shape), 0, 1)
    node.replace_input_with(1, constant(model, "undone", new))


def check(model, name, size, groups, axis=-1):
    before = outputs(model)
    (node,) = layers(model, name)
    at, count = node.inputs[0], node.inputs[0].shape[axis] // size
    assert tied_blocks(model, at, size, axis) == groups
    blocks = matrices(count, size)
    if len(groups) < count:
        assert not fold_blocks(model, at, blocks, axis)
    for group in groups:
        blocks[group] = blocks[group[0]]
    assert fold_blocks(model, at, blocks, axis)
    with pytest.raises(AssertionError):
        same(model, before)
    undo(model, node, blocks)
    same(model, before)


def refused(model, name, size, axis=-1):
    before = outputs(model)
    (node,) = layers(model, name)
    assert tied_blocks(model, node.inputs[0], size, axis) is None
    assert not fold_blocks(model, node.inputs[0], matrices(node.inputs[0].shape[axis] // size, size), axis)
    same(model, before, 0)


@pytest.mark.parametrize(
    ("options", "size", "groups"),
    [
        ({"kv": 4}, 4, [[i] for i in range(8)]),
        ({"kv": 4, "sdpa": True}, 8, [[i] for i in range(4)]),
        ({}, 4, [[0, 2], [1, 3], [4, 6], [5, 7]]),
        ({"sdpa": True, "fused": True}, 8, [[0, 1], [2, 3]]),
        ({"kv": 1}, 2, [[i, i + 4, i + 8, i + 12] for i in range(4)]),
    ],
)
def test_blocks_before_the_output_projection_go_into_the_values(options, size, groups):
    check(net(Attention, (2, 5, 16), **options), "o", size, groups)


@pytest.mark.parametrize("options", [{"kv": 4}, {}])
def test_blocks_longer_than_a_head_are_refused(options):
    refused(net(Attention, (2, 5, 16), **options), "o", 16)


def test_norms_gates_and_activations_stop_blocks():
    model = net(Block, (2, 5, 16))
    refused(model, "down", 4)
    refused(model, "o", 16)
    query = layers(model, "q", "k", "v")
    assert not fold_blocks(model, query[0].inputs[0], matrices(4, 4), -1, readers=query)


class Convs(nn.Module):
    def __init__(self, groups=1, activation=None):
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 8, 3, padding=1, groups=groups), nn.Conv2d(4, 8, 1, bias=False)
        self.norm, self.last, self.activation = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3), activation or (lambda x: x)

    def forward(self, x):
        return self.last(self.activation(self.norm(self.one(x)) - self.two(x) / 3))


@pytest.mark.parametrize("groups", [1, 2])
def test_blocks_of_convolutions_with_folded_norms(groups):
    check(net(Convs, (1, 4, 6, 6), groups), "last", 4, [[0], [1]], axis=1)


def test_a_block_over_two_groups_of_a_convolution():
    refused(net(Convs, (1, 4, 6, 6), 2), "last", 8, axis=1)


@pytest.mark.parametrize("activation", [F.relu, torch.sigmoid, F.silu, lambda x: F.leaky_relu(x, 0.5)])
def test_a_function_stops_blocks(activation):
    refused(net(Convs, (1, 4, 6, 6), 1, activation), "last", 4, axis=1)


class Moved(nn.Module):
    """Places and channels that change places in ways that keep blocks whole, or do not."""

    def __init__(self, how):
        super().__init__()
        self.one, self.two, self.how = nn.Linear(8, 8), nn.Linear(8, 8), how

    def forward(self, x):
        return self.two(self.how(self.one(x)))


def test_moved_blocks():
    check(net(Moved, (2, 4, 8), lambda x: x.flip(-1).roll(1, 1)), "two", 4, [[0], [1]])
    check(net(Moved, (2, 4, 8), lambda x: -x.view(2, 4, 2, 4).transpose(2, 3).flatten(2)), "two", 8, [[0]])


def test_a_block_whose_halves_come_from_two_places():
    def how(x):  # the second half of each token goes to the next one
        return torch.cat((x[..., :4], x[..., 4:].roll(1, 1)), -1)

    refused(net(Moved, (2, 4, 8), how), "two", 8)
    check(net(Moved, (2, 4, 8), how), "two", 4, [[0], [1]])


def test_channels_that_are_places():
    refused(net(Moved, (2, 8, 8), lambda x: x.transpose(1, 2)), "two", 8)


@pytest.mark.parametrize("bad", [np.eye(24)[None, :, :4], np.ones((3, 4, 4)), np.full((6, 4, 4), np.nan), np.eye(4)])
def test_matrices_that_are_none(bad):
    model = net(SwiGLU, (2, 5, 16))
    (down,) = layers(model, "down")
    with pytest.raises(ValueError, match="24 channels"):
        fold_blocks(model, down.inputs[0], bad, -1)
