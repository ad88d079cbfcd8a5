# mypy: disable-error-code="misc, union-attr, arg-type"
"""Queries and keys found in graphs, permuted and scaled there: no logit changes, to twelve digits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgegate import stages
from edgegate.quant.formats import format_named
from edgegate.quant.kvsort import (
    Heads,
    Sorting,
    apply_ksort,
    attention_sites,
    choose,
    drawn,
    interleaved,
    projections,
    seen,
    sorted_order,
)
from tests.quant.folds import blocks
from tests.quant.folds.nets64 import loaded, net, outputs, parsed, same


def some_sorting(site, turned=False, seed=0):
    """An order and a scale out of thin air."""
    layout, rng = site.layout, np.random.default_rng(seed)
    dims = (1 if site.shared else layout.kv_heads, layout.size)
    energy = np.broadcast_to(rng.exponential(size=dims), (layout.kv_heads, layout.size))
    scale = np.broadcast_to(np.exp(rng.standard_normal(dims)), energy.shape).copy()
    scale[:, layout.pairs] = scale[:, layout.pairs[:, :1]]
    order = sorted_order(energy, layout)
    if turned:
        order, layout = order[:, interleaved(layout)], replace(layout, rotary="interleaved")
    scale = np.take_along_axis(scale, order, 1)
    return Sorting(layout=layout, order=order, scale=scale, kinds=(), ratios=())


def only(model):
    sites, refusals = attention_sites(model)
    assert not refusals and len(sites) == 1
    return sites[0]


def with_keys(model, name):
    """The output of the net, and the keys as its product reads them."""
    probe = model.clone()
    probe.graph.outputs.append(next(v for n in probe.graph for v in n.outputs if v.name == name))
    return outputs(probe)


@pytest.mark.parametrize(
    ("options", "rotary"),
    [
        ({}, "half"),
        ({"style": "half parts", "normed": True}, "half"),
        ({"style": "interleaved", "fused": True}, "interleaved"),
        ({"style": "interleaved parts", "sdpa": True, "kv": 1}, "interleaved"),
        ({"style": "none", "normed": True, "kv": 4}, "none"),
        ({"style": "none", "sdpa": True}, "none"),
    ],
)
def test_sites_are_found_and_permuted(options, rotary):
    model = net(blocks.Attention, (2, 5, 16), **options)
    site = only(model)
    keys = site.node.inputs[1].name
    before = with_keys(model, keys)
    assert site.layout == Heads(heads=4, kv_heads=options.get("kv", 2), size=8, rotary=rotary)
    sorting = some_sorting(site, turned=rotary == "half")
    apply_ksort(model, site, sorting)
    stages.floating(model)
    same(model, before[:1])
    k = with_keys(model, keys)[1]
    order, scale = (np.repeat(part, 4 // site.layout.kv_heads, 0) for part in (sorting.order, sorting.scale))
    wanted = np.take_along_axis(before[1], order[None, :, :, None], 2) * scale[None, :, :, None]
    np.testing.assert_allclose(k, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())


def test_a_permuted_graph_is_understood_again():
    model = net(blocks.Attention, (2, 5, 16), normed=True)
    before = outputs(model)
    apply_ksort(model, only(model), some_sorting(only(model), turned=True))
    assert only(model).layout.rotary == "interleaved"
    apply_ksort(model, only(model), some_sorting(only(model), seed=1))
    same(model, before)
    model = net(blocks.Attention, (2, 5, 16))
    apply_ksort(model, only(model), some_sorting(only(model)))
    assert "different ways" in attention_sites(model)[1][0].why  # each head has a table of its own now


def test_pairs_that_stay_pairs_of_halves():
    model = net(blocks.Attention, (2, 5, 16), normed=True)
    before, site = outputs(model), only(model)
    apply_ksort(model, site, some_sorting(site))
    same(model, before)
    assert only(model).layout.rotary == "half"


def test_a_scale_alone_leaves_the_graph_as_it_is():
    model = net(blocks.Attention, (2, 5, 16))
    nodes, before, site = [n.name for n in model.graph], outputs(model), only(model)
    stay = np.broadcast_to(np.arange(8), (2, 8))
    apply_ksort(model, site, replace(some_sorting(site), order=stay, scale=np.tile([2.0, 1, 3, 1], (2, 2))))
    assert [n.name for n in model.graph] == nodes
    same(model, before)


OPSET_23 = """<ir_version: 11, opset_import: ["" : 23, "edgegate" : 1]>
g (float[2,5,6] x) => (y) {
    q = edgegate.Linear (x, wq, bq)
    k = edgegate.Linear (x, wk, bk)
    v = edgegate.Linear (x, wv, bv)
    qr = Reshape (q, heads)
    kr = Reshape (k, groups)
    vr = Reshape (v, groups)
    qt = Transpose <perm = [0, 2, 1, 3]> (qr)
    kt = Transpose <perm = [0, 2, 1, 3]> (kr)
    vt = Transpose <perm = [0, 2, 1, 3]> (vr)
    qe = RotaryEmbedding <interleaved = INTERLEAVED> (qt, cos, sin)
    ke = RotaryEmbedding <interleaved = INTERLEAVED> (kt, cos, sin)
    y = Attention (qe, ke, vt)
}
"""
FLAT = """<ir_version: 11, opset_import: ["" : 23, "edgegate" : 1]>
g (float[2,5,6] x) => (y) {
    q = edgegate.Linear (x, wq, bq)
    k = edgegate.Linear (x, wk, bk)
    v = edgegate.Linear (x, wv, bv)
    y = Attention <q_num_heads = 4, kv_num_heads = 2> (q, k, v)
}
"""
LINEAR = """<domain: "edgegate", opset_import: ["" : 23]>
Linear (x, weight, bias) => (y) { product = MatMul (x, weight) y = Add (product, bias) }
"""


def opset_23(is_interleaved, rotated=True):
    """Grouped heads of size 4, by the ops of the standard."""
    rng = np.random.default_rng(0)
    angle = np.arange(5)[:, None] * np.array([1.0, 0.3]) + np.zeros((2, 1, 1))
    data = {"heads": np.array([2, 5, 4, 4]), "groups": np.array([2, 5, 2, 4])}
    data |= {"cos": np.cos(angle).astype(np.float32), "sin": np.sin(angle).astype(np.float32)}
    for name, width in (("q", 16), ("k", 8), ("v", 8)):
        data |= {f"w{name}": rng.standard_normal((6, width)).astype(np.float32)}
        data |= {f"b{name}": rng.standard_normal(width).astype(np.float32)}
    text = OPSET_23.replace("INTERLEAVED", str(int(is_interleaved))) if rotated else FLAT
    return parsed(text + LINEAR, data)


@pytest.mark.parametrize(("is_interleaved", "rotated"), [(False, True), (True, True), (False, False)])
def test_ops_of_opset_23(is_interleaved, rotated):
    model = opset_23(is_interleaved, rotated)
    before, site = outputs(model), only(model)
    rotary = "none" if not rotated else "interleaved" if is_interleaved else "half"
    assert site.layout == Heads(heads=4, kv_heads=2, size=4, rotary=rotary)
    sorting = some_sorting(site, turned=rotary == "half", seed=2)
    assert (sorting.order != np.arange(4)).any()
    apply_ksort(model, site, sorting)
    same(model, before)
    assert not any(n.op_type == "RotaryEmbedding" for n in model.graph)


class Odd(blocks.Attention):
    """Attention with something in it that no permutation passes."""

    def __init__(self, what):
        super().__init__(kv=4)
        self.what = what

    def forward(self, x):
        batch, length, _ = x.shape
        parts = [f(x).view(batch, length, 4, 8).transpose(1, 2) for f in (self.q, self.k, self.v)]
        q, k, v = parts
        if self.what == "partial":
            q, k = (
                torch.cat((blocks.rotate(p[..., :4], self.cos[:, :4], self.sin[:, :4], "half"), p[..., 4:]), -1)
                for p in (q, k)
            )
        if self.what == "one side":
            q = blocks.rotate(q, self.cos, self.sin, "half")
        if self.what == "activation":
            k = torch.tanh(k)
        if self.what == "input":
            k = x.view(batch, length, 2, 8).transpose(1, 2).repeat(1, 2, 1, 1)
        y = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        y = self.o(y.transpose(1, 2).reshape(batch, length, -1))
        return (y, k) if self.what == "cache" else y


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("partial", "left alone nor turned"),
        ("one side", "pairs, k in none"),
        ("activation", "Tanh"),
        ("input", "input of the model"),
        ("cache", "output of the model"),
    ],
)
def test_what_is_not_understood_is_told(what, why):
    sites, refusals = attention_sites(net(Odd, (2, 5, 16), what))
    assert not sites and len(refusals) == 1
    assert why in refusals[0].why and "MatMul" in refusals[0].where


def test_graphs_without_attention():
    assert attention_sites(net(blocks.SwiGLU, (2, 5, 16))) == ([], [])


def loud(module):
    """Keys with a few loud pairs, queries that meet them quietly."""
    with torch.no_grad():
        for group in range(module.kv):
            for channel in (2, 10):
                module.k.weight[group * 16 + channel] *= 20
    return module


@pytest.mark.parametrize("normed", [False, True])
def test_what_is_chosen_from_moments_helps_real_keys(normed):
    module = loud(blocks.drawn(blocks.Attention(size=16, kv=2, length=24, normed=normed)))
    model = loaded(module, 4, 24, 16)
    before, site = outputs(model), only(model)
    formats = format_named("bfp16_b16"), format_named("bfp12_b16")
    pair = drawn(site, np.ones(16)), drawn(site, np.ones(16), seed=1)
    sorting = choose(*pair, site.layout, *formats, shared=site.shared)
    assert all("scale" in kind for kind in sorting.kinds) and max(sorting.ratios) < 0.6
    probe = model.clone()
    at = [next(v for n in probe.graph for v in n.outputs if v.name == w.name) for w in site.node.inputs]
    probe.graph.outputs.extend(at)
    q, k = outputs(probe)[-2:]
    real = choose(seen(site, q, k), seen(site, q, k), site.layout, *formats, shared=site.shared)
    assert max(real.ratios) < 0.6
    apply_ksort(model, site, sorting)
    same(model, before)


def test_sortings_of_other_heads():
    model = net(blocks.Attention, (2, 5, 16), normed=True)
    site = only(model)
    other = some_sorting(site)
    with pytest.raises(ValueError, match="the site has"):
        apply_ksort(model, site, replace(other, layout=Heads(heads=4, kv_heads=2, size=16, rotary="half")))
    with pytest.raises(ValueError, match="shared=True"):
        apply_ksort(model, site, replace(other, scale=other.scale * np.array([[1], [2]])))
    with pytest.raises(ValueError, match="16 channels"):
        drawn(site, np.ones(5))
    with pytest.raises(ValueError, match="no heads"):
        seen(site, np.ones((2, 4, 5, 8)), np.ones((2, 4, 5, 8, 1)))


def test_projections_are_in_the_order_of_the_heads():
    module = blocks.drawn(blocks.Attention(fused=True))
    made = projections(only(loaded(module, 2, 5, 16)))
    weight = module.qkv.weight.detach().numpy().T
    np.testing.assert_array_equal(made.q, weight[:, :32])
    np.testing.assert_array_equal(made.k, weight[:, 32:48])
    assert made.q_gain is None
