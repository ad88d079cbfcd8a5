# mypy: disable-error-code="union-attr, arg-type"
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegate.graph import array
from edgegate.passes.to_affine import NORM
from edgegate.quant.folds import fold_diagonal, tied
from tests.quant.folds.blocks import Attention, Block, SwiGLU, drawn
from tests.quant.folds.nets64 import divide, layers, loaded, net, normalised, outputs, same


def positive(size, seed=1):
    return np.exp(np.random.default_rng(seed).standard_normal(size))


def texts(model):
    return {name: v.const_value.numpy().copy() for name, v in model.graph.initializers.items()}


def check(model, readers, axis=-1, groups=None):
    """The input of ``readers`` can be scaled, they can be divided, and nothing changes but that value."""
    before, at = outputs(model), readers[0].inputs[0]
    sets = tied(model, at, axis, readers=readers)
    assert sets is not None and sorted(i for group in sets for i in group) == list(range(at.shape[axis]))
    assert groups is None or sets == groups
    scale = np.ones(at.shape[axis])
    for number, group in enumerate(sets):
        scale[group] = positive(len(sets))[number]
    assert fold_diagonal(model, at, scale, axis, readers=readers)
    if np.ptp(scale):
        with pytest.raises(AssertionError):
            same(model, before)
    for node in readers:
        divide(model, node, scale)
    same(model, before)


def refused(model, readers, axis=-1, scale=None):
    before, at = texts(model), readers[0].inputs[0]
    assert not fold_diagonal(model, at, positive(at.shape[axis]) if scale is None else scale, axis, readers=readers)
    after = texts(model)
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("norm", [nn.RMSNorm, nn.LayerNorm])
def test_a_norms_gain_is_scaled_for_all_its_readers(norm):
    model = net(Block, (2, 5, 16), norm)
    check(model, layers(model, "q", "k", "v"), groups=[[i] for i in range(16)])
    check(model, layers(model, "gate", "up"), groups=[[i] for i in range(16)])


def test_a_reader_that_nobody_divides_stops_it():
    model = net(Block, (2, 5, 16))
    refused(model, layers(model, "q", "k"))


def test_only_the_value_of_a_gate_is_scaled():
    model = net(SwiGLU, (2, 5, 16))
    gate = array(layers(model, "gate")[0].inputs[1]).copy()
    check(model, layers(model, "down"), groups=[[i] for i in range(24)])
    assert np.array_equal(array(layers(model, "gate")[0].inputs[1]), gate)


def test_a_value_that_is_an_activation_stops_it():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.down = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return self.down(torch.tanh(self.a(x)) * torch.sigmoid(self.b(x)))

    model = net(Both, (3, 8))
    refused(model, layers(model, "down"))
    assert tied(model, layers(model, "down")[0].inputs[0], -1) is None


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"kv": 4}, {"kv": 1, "sdpa": True}])
def test_values_are_scaled_before_the_output_projection(options):
    model = net(Attention, (2, 5, 16), **options)
    kv = options.get("kv", 2)
    groups = [[(g * 4 // kv + i) * 8 + c for i in range(4 // kv)] for g in range(kv) for c in range(8)]
    check(model, layers(model, "o"), groups=groups)


def test_heads_that_share_values_must_agree():
    model = net(Attention, (2, 5, 16))
    refused(model, layers(model, "o"))


class GatedConv(nn.Module):
    def __init__(self, gate=torch.sigmoid, chunk=False):
        super().__init__()
        self.value, self.gate = nn.Conv2d(4, 6, 1, bias=False), nn.Conv2d(4, 6, 3, padding=1)
        self.both, self.norm, self.chunk = nn.Conv2d(4, 12, 3, padding=1), nn.BatchNorm2d(6), chunk
        self.next, self.activation = nn.Conv2d(6, 5, 3), gate

    def forward(self, x):
        value, gate = self.both(x).chunk(2, 1) if self.chunk else (self.norm(self.value(x)), self.gate(x))
        y = value * self.activation(gate)
        y = F.pad(F.leaky_relu(F.max_pool2d(y, 2), 0.1), (1, 0, 0, 1))
        return self.next(F.avg_pool2d(y, 3, 1, 1) / 3)


@pytest.mark.parametrize("chunk", [False, True])
def test_convolutions_with_norms_and_windows_between(chunk):
    model = net(GatedConv, (1, 4, 8, 8), chunk=chunk)
    check(model, layers(model, "next"), axis=1, groups=[[i] for i in range(6)])


class Sum(nn.Module):
    """Two branches added, a third concatenated, shuffled, and half of it dropped."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.next = (
            nn.Conv2d(3, 4, 1),
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(3, 4, 1),
            (nn.Conv2d(6, 2, 1)),
        )
        self.depth = nn.Conv2d(3, 4, 1)
        self.each = nn.Conv2d(4, 4, 3, padding=1, groups=4)

    def forward(self, x):
        y = torch.cat((self.a(x) - F.relu(self.b(x)), self.c(x), self.each(self.depth(x))), 1)
        y = y.reshape(1, 3, 4, 6, 6).transpose(1, 2).reshape(1, 12, 6, 6)[:, 1::2]
        return self.next(F.interpolate(y, scale_factor=2, mode="nearest"))


def test_branches_and_moves():
    model = net(Sum, (1, 3, 6, 6))
    check(model, layers(model, "next"), axis=1, groups=[[i] for i in range(6)])


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head, self.slope = nn.Conv2d(3, 6, 3), nn.Linear(6, 4), nn.Parameter(torch.rand(6))

    def forward(self, x):
        return self.head(F.prelu(self.conv(x), torch.tensor(0.2)).mean((2, 3)) * 2)


def test_a_pooled_map_and_its_head():
    model = net(Pooled, (1, 3, 6, 6))
    check(model, layers(model, "head"))


def test_sharing_a_layer_stops_it():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.next = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            y = self.one(x)
            return self.next(F.relu(y)), y

    model = net(Shared, (3, 4))
    refused(model, layers(model, "next"))
    refused(model, layers(model, "one"))  # the graph's input


def test_tokens_that_a_layer_mixes_must_agree():
    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.next = nn.Linear(5, 5), nn.Linear(4, 4)

        def forward(self, x):
            return self.next(self.mix(x.transpose(1, 2)).transpose(1, 2))

    model = net(Mixer, (2, 5, 4))
    check(model, layers(model, "next"), groups=[[0, 1, 2, 3]])
    refused(model, layers(model, "next"))


def test_shared_weights_change_for_one_reader_only():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.two(F.relu(self.one(x))) + self.one(torch.sigmoid(x))

    model = net(Twice, (1, 3, 4, 4))
    check(model, layers(model, "two"), axis=1)


def test_moments_follow_their_layer():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.norm, self.two = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            return self.two(F.relu(self.norm(self.one(x))))

    module = drawn(Normed())
    model = loaded(module, 1, 3, 4, 4)
    check(model, layers(model, "two"), axis=1)
    moments = json.loads(layers(model, "one")[0].metadata_props[NORM])
    np.testing.assert_allclose(moments["mean"], module.norm.bias.detach().numpy() * positive(4), rtol=1e-6)
    np.testing.assert_allclose(moments["std"], np.abs(module.norm.weight.detach().numpy()) * positive(4), rtol=1e-6)


@pytest.mark.parametrize(
    ("style", "normed"),
    [("half", False), ("half parts", True), ("interleaved", True), ("interleaved parts", False)],
)
def test_scales_before_a_rotation_belong_to_pairs(style, normed):
    model = net(Attention, (2, 5, 16), style=style, normed=normed, kv=4)
    product = next(n for n in model.graph if n.op_type == "MatMul")
    q = product.inputs[0]
    before, found = outputs(model), tied(model, q, -1, readers=[product])
    assert found is not None and all(len(group) in (1, 2) for group in found)
    scale = np.ones(8)
    for group, factor in zip(found, positive(8), strict=False):
        scale[group] = factor
    k = product.inputs[1]
    assert fold_diagonal(model, q, scale, -1, readers=[product])
    assert fold_diagonal(model, k, 1 / scale, -2, readers=[product])
    same(model, before)


@pytest.mark.parametrize("bad", [np.ones(3), -np.ones(24), np.full(24, np.nan), np.zeros(24), np.full(24, np.inf)])
def test_scales_that_are_none(bad):
    model = net(SwiGLU, (2, 5, 16))
    (down,) = layers(model, "down")
    with pytest.raises(ValueError, match="24 positive numbers"):
        fold_diagonal(model, down.inputs[0], bad, -1, readers=[down])


def test_a_scale_that_float32_cannot_hold():
    model = normalised(drawn(SwiGLU()), 2, 5, 16)
    refused(model, layers(model, "down"), scale=np.full(24, 1e300))
    refused(model, layers(model, "down"), scale=np.full(24, 1e-300))
