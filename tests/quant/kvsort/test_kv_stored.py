# mypy: disable-error-code="misc, union-attr, arg-type"
"""Permutations and scales as data: brought into a model again, or refused; and the products of standard ops."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from edgegate.errors import CompileError
from edgegate.graph import array, shape
from edgegate.passes.to_integer import to_integer
from edgegate.passes.to_qdq import to_qdq
from edgegate.quant import ProductStorage, Recipe, Scheme
from edgegate.quant.attention import plan_attention
from edgegate.quant.formats import format_named
from edgegate.quant.kvsort import apply_products, attention_sites, stored
from tests.quant.folds import blocks
from tests.quant.folds.nets64 import net, outputs, same
from tests.quant.kvsort.test_kv_sites import opset_23, some_sorting

PLAIN = ProductStorage(keys="bfp12_b8", queries="bfp16_b8")


def product(model):
    """The site of a model, and the name of what it makes."""
    (site,), _ = attention_sites(model)
    return site, str(site.node.outputs[0].name)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("normed", [False, True])
def test_a_sorting_is_data(normed, turned):
    model = net(blocks.Attention, (2, 5, 16), normed=normed)
    before, (site, name) = outputs(model), product(model)
    storage = stored(PLAIN, some_sorting(site, turned=turned))
    assert storage.rotary == ("interleaved" if turned else "half")
    layer = array(site.k.layer.inputs[1])
    apply_products(model, {name: storage})
    same(model, before)
    assert not np.array_equal(array(site.k.layer.inputs[1]), layer)


def test_nothing_is_no_data():
    site, name = product(model := net(blocks.Attention, (2, 5, 16)))
    stay = np.broadcast_to(np.arange(8), (2, 8))
    nothing = replace(some_sorting(site), order=stay, scale=np.ones((2, 8)))
    assert stored(PLAIN, nothing) == replace(PLAIN, rotary="half")
    text = ir.to_proto(model).SerializeToString(deterministic=True)
    apply_products(model, {name: PLAIN, "elsewhere": PLAIN})
    assert ir.to_proto(model).SerializeToString(deterministic=True) == text


STAY = tuple(range(8)) * 2
MISFITS: dict[str, dict[str, Any]] = {
    "not for 2 heads of 8": {"order": (1, 0)},
    "order or scale is not for 2": {"scale": (1.0, 2.0)},
    "no permutation": {"order": (0,) * 16},
    "tears pairs": {"order": (1, 0, *range(2, 8), *range(8))},
    "differs within a pair": {"scale": (2.0, *(1.0,) * 15)},
    "embedding is half, not none": {"scale": (2.0,) * 16, "rotary": "none"},
    "embedding is half, not": {"order": STAY, "rotary": "none"},
}


@pytest.mark.parametrize("words", MISFITS)
def test_data_of_another_model(words):
    model = net(blocks.Attention, (2, 5, 16))
    text = ir.to_proto(model).SerializeToString(deterministic=True)
    storage = replace(PLAIN, **{"rotary": "half", **MISFITS[words]})
    with pytest.raises(CompileError, match=words):
        apply_products(model, {product(model)[1]: storage})
    assert ir.to_proto(model).SerializeToString(deterministic=True) == text


def test_data_for_products_that_are_not_there():
    model = net(blocks.Attention, (2, 5, 16), normed=True)
    name = product(model)[1]
    with pytest.raises(CompileError, match="no queries and keys of the model make it"):
        apply_products(model, {"scores": replace(PLAIN, scale=(2.0,) * 16)})
    with pytest.raises(CompileError, match="share the gain of a norm"):
        apply_products(model, {name: replace(PLAIN, rotary="half", scale=(2.0,) * 8 + (1.0,) * 8)})
    with pytest.raises(CompileError, match=rf"stores the operands of {name}x .*may mean {name}"):
        to_qdq(Scheme(values={}, products={f"{name}x": PLAIN}))(model)
    with pytest.raises(CompileError, match="no integer form"):
        to_integer(Scheme(values={}, products={name: PLAIN}))(model)


PRODUCTS = {
    "two share their keys": (
        """g (float[2,3,5,10] q, float[2,3,4,10] k) => (float[2,3,5,4] b, float[2,3,5,4] a)
        { t = Transpose <perm = [0, 1, 3, 2]> (k) b = MatMul (q, t) n = Neg (q) a = MatMul (n, t) }""",
        "runtime",
    ),
    "heads of an Attention": (
        "g (float[2,4,5,10] q, float[2,2,5,10] k) => (float[2,4,5,10] a) { a = Attention (q, k, k) }",
        "native",
    ),
    "heads of an Attention in one axis": (
        """g (float[2,5,40] q, float[2,5,20] k) => (float[2,5,40] a)
        { a = Attention <q_num_heads = 4, kv_num_heads = 2> (q, k, k) }""",
        "native",
    ),
}


def parsed(text):
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": {23 if "Attention" in text else 21}]>\n{text}'
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


@pytest.mark.parametrize("words", PRODUCTS)
def test_blocks_run_along_the_channels_of_one_head(words):
    text, opset = PRODUCTS[words]
    model = parsed(text)
    names = [name for name in "ab" if any(name == v.name for v in model.graph.outputs)]
    rng = np.random.default_rng(0)
    feed = {str(v.name): rng.standard_normal(shape(v)).astype(np.float32) for v in model.graph.inputs}
    inside = {
        name: in_blocks(data, form) for (name, data), form in zip(feed.items(), ("bfp16_b8", "bfp12_b8"), strict=True)
    }
    if "Attention" in text:  # its values are not in blocks
        dims = ",".join(map(str, feed["k"].shape))
        text = text.replace("k, k)", "k, v)").replace(") =>", f", float[{dims}] v) =>")
        inside["v"] = feed["k"]
    wanted = ReferenceEvaluator(ir.to_proto(parsed(text))).run(None, inside)
    to_qdq(Scheme(values={}, products=dict.fromkeys(names, PLAIN)), opset=opset)(model)
    got = ReferenceEvaluator(ir.to_proto(model)).run(None, feed)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert sum(node.op_type == "ReduceMax" for node in model.graph) == len(names) + 1


def in_blocks(data, form):
    """Heads of 10 channels, each alone."""
    heads = data.reshape(-1, 10)
    return format_named(form).quantize(heads.astype(np.float64)).values().reshape(data.shape).astype(np.float32)


def test_queries_may_stay():
    model = parsed(PRODUCTS["two share their keys"][0])
    to_qdq(Scheme(values={}, products={"a": replace(PLAIN, queries=None)}))(model)
    assert sum(node.op_type == "ReduceMax" for node in model.graph) == 1


def test_a_cache_of_keys_stays():
    model = opset_23(False)
    node = next(n for n in model.graph if n.op_type == "Attention")
    inputs = [*node.inputs, None, node.inputs[1], node.inputs[2]]
    model.graph.append(ir.Node("", "Attention", inputs, outputs=[ir.Value(name="cached")]))
    sites, refusals = attention_sites(model)
    assert any("a cache of keys" in refusal.why for refusal in refusals) and not sites
    plan = plan_attention(model, Recipe(keys="bfp12"), None)
    assert plan.products.keys() == {str(node.outputs[0].name)}
    assert plan.report[1].key_format == "float" and "stays as it is" in plan.report[1].reason
    assert plan.report[0].bits_per_key == 8 * 4.25  # heads of 4
