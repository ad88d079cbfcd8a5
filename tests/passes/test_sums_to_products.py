"""Sums of products of activations become matrix products, however their axes lie."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.explicit_einsum import explicit_einsum
from edgegate.passes.sums_to_products import sums_to_products
from edgegate.stages import floating
from tests.passes.text import check, outputs, parse, unchanged

EINSUMS = [
    ("bhqd,bhkd->bhqk", ([2, 3, 4, 5], [2, 3, 6, 5]), {"Transpose", "MatMul"}),
    ("bhqk,bhkd->bqhd", ([2, 3, 4, 5], [2, 3, 5, 6]), {"Transpose", "MatMul"}),
    ("bhkv,bhk->bhv", ([2, 3, 4, 5], [2, 3, 4]), {"Reshape", "MatMul"}),
    ("bk,bv->bkv", ([2, 3], [2, 4]), {"Reshape", "Mul"}),
    ("bgd,bgrd->brg", ([2, 3, 4], [2, 3, 5, 4]), {"Reshape", "Transpose", "MatMul"}),
    ("...ij,jk", ([2, 3, 4], [4, 5]), {"MatMul"}),
    ("i...,i...->...", ([4, 2], [4, 2]), None),
    ("ab,bc,cd->da", ([2, 3], [3, 4], [4, 5]), {"MatMul", "Transpose"}),
    ("abc->ca", ([2, 3, 4],), {"ReduceSum", "Transpose"}),
    ("ab,cb->c", ([2, 3], [4, 3]), None),
    ("ab,b->a", ([2, 1], [3]), None),
    ("bshd,bthd->bhst", ([1, 4, 2, 3], [1, 5, 2, 3]), None),
    ("abij,aij->ab", ([2, 3, 4, 5], [2, 4, 5]), None),
]
SUMS = [
    ([1, 2, 4, 5], [1, 2, 4, 1], [2], {"Reshape", "MatMul"}),
    ([1, 2, 4, 5], [1, 2, 1, 5], [3], {"Reshape", "MatMul"}),
    ([1, 2, 5, 4, 3], [1, 1, 5, 1, 1], [2], {"Reshape", "MatMul"}),
    ([2, 5, 3], [3], [2], {"Reshape", "MatMul"}),
    ([2, 5], [2, 5], [1], {"Reshape", "MatMul"}),
    ([2, 4, 1, 5], [2, 1, 3, 5], [3], None),
    ([4, 1, 5], [1, 3, 5], [2], None),
    ([4, 2, 5], [4, 2, 5], [0, 2], None),
    ([3, 4, 5], [3, 4, 1], [0, 1], None),
]


def after(model: ir.Model, step) -> set[str]:
    """The types of the nodes behind a pass, which keeps what the model computes and what its outputs are called."""
    name, wanted = model.graph.outputs[0].name, outputs(model)
    run(model, [step, drop_unused], floating)
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert model.graph.outputs[0].name == name
    return {node.op_type for node in model.graph}


@pytest.mark.parametrize(("equation", "shapes", "ops"), EINSUMS)
def test_einsum(equation: str, shapes, ops) -> None:
    names = "xzu"[: len(shapes)]
    inputs = ", ".join(f"float{dims} {name}" for dims, name in zip(shapes, names, strict=True))
    line = f'r = Einsum <equation = "{equation}"> ({", ".join(names)}) y = Relu (r)'
    found = after(parse(f"g ({inputs}) => (y) {{ {line} }}"), explicit_einsum)
    assert "Einsum" not in found
    assert ops is None or found - {"Relu"} <= ops


@pytest.mark.parametrize(("left", "right", "axes", "ops"), SUMS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_sums_of_products(left, right, axes, ops, keepdims: int) -> None:
    head = f"g (float{left} x, float{right} z) => (y) <int64[{len(axes)}] a = {{{', '.join(map(str, axes))}}}>"
    for pair in ("x, z", "z, x"):
        line = f"p = Mul ({pair}) s = ReduceSum <keepdims = {keepdims}> (p, a) y = Relu (s)"
        found = after(parse(f"{head} {{ {line} }}"), sums_to_products)
        assert "MatMul" in found
        assert "Mul" not in found
        assert ops is None or found - {"Relu"} <= ops


def test_a_state_is_read_by_one_product() -> None:
    check(
        sums_to_products,
        "g (float[2,4,5] s, float[2,4,1] q) => (y) <int64[1] a = {1}>"
        " { p = Mul (s, q) y = ReduceSum <keepdims = 0> (p, a) }",
        "g (float[2,4,5] s, float[2,4,1] q) => (y) <int64[2] d = {2, 4}, int64[3] r = {2, 1, 4}, int64[2] e = {2, 5}>"
        " { y_second = Reshape (q, d) y_row = Reshape (y_second, r) y_sums = MatMul (y_row, s)"
        " y = Reshape (y_sums, e) }",
    )


def test_other_sums_stay() -> None:
    head = "g (float[2,3] x, float[2,3] z, float[2,1] n) => (y) <int64[1] a = {1}> "
    for factors in ("x, x", "x, n"):
        unchanged(sums_to_products, head + f"{{ p = Mul ({factors}) y = ReduceSum <keepdims = 0> (p, a) }}")
    unchanged(sums_to_products, head + "{ p = Mul (x, z) q = ReduceSum <keepdims = 1> (p, a) y = Add (p, q) }")
    unchanged(explicit_einsum, 'g (float[3,3] x) => (y) { y = Einsum <equation = "ii->i"> (x) }')


def test_a_factor_may_be_constant() -> None:
    check(
        sums_to_products,
        "g (float[4,3] x) => (y) <float[3] c = {1, 2, 3}, int64[1] a = {1}>"
        " { p = Mul (x, c) y = ReduceSum <keepdims = 0> (p, a) }",
        "g (float[4,3] x) => (y) <float[3] c = {1, 2, 3}, int64[2] d = {3, 1}, int64[1] e = {4}>"
        " { y_column = Reshape (c, d) y_sums = MatMul (x, y_column) y = Reshape (y_sums, e) }",
    )
