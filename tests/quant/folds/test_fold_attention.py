# mypy: disable-error-code="union-attr, arg-type"
"""Attention and RMSNormalization as opset 23 has them."""

import numpy as np
import pytest

from edgegate.graph import array, constant
from edgegate.quant.folds import fold_blocks, fold_diagonal, tied, tied_blocks
from tests.quant.folds.nets64 import divide, outputs, parsed, same

HEADER = """<ir_version: 11, opset_import: ["" : 23, "edgegate" : 1]>
g (float[2,5,6] x) => (z) {
    h = RMSNormalization <axis = -1> (x, gain)
    q = edgegate.Linear (h, wq, bq)
    k = edgegate.Linear (h, wk, bk)
    v = edgegate.Linear (h, wv, bv)
"""
FLAT = """    y = Attention <q_num_heads = 4, kv_num_heads = 2> (q, k, v)
"""
HEADS = """    qr = Reshape (q, heads)
    kr = Reshape (k, groups)
    vr = Reshape (v, groups)
    qt = Transpose <perm = [0, 2, 1, 3]> (qr)
    kt = Transpose <perm = [0, 2, 1, 3]> (kr)
    vt = Transpose <perm = [0, 2, 1, 3]> (vr)
    a = Attention (qt, kt, vt)
    at = Transpose <perm = [0, 2, 1, 3]> (a)
    y = Reshape (at, whole)
"""
FOOTER = """    z = edgegate.Linear (y, wo, bo)
}
<domain: "edgegate", opset_import: ["" : 23]>
Linear (x, weight, bias) => (y) { product = MatMul (x, weight) y = Add (product, bias) }
"""


def made(middle):
    rng = np.random.default_rng(0)
    data = {"heads": np.array([2, 5, 4, 4]), "groups": np.array([2, 5, 2, 4]), "whole": np.array([2, 5, 16])}
    data["gain"] = rng.uniform(0.5, 2, 6).astype(np.float32)
    for name, rows, width in (("q", 6, 16), ("k", 6, 8), ("v", 6, 8), ("o", 16, 3)):
        data[f"w{name}"] = rng.standard_normal((rows, width)).astype(np.float32)
        data[f"b{name}"] = rng.standard_normal(width).astype(np.float32)
    return parsed(HEADER + middle + FOOTER, data)


def node(model, name):
    return next(n for n in model.graph if n.outputs[0].name == name)


@pytest.mark.parametrize("middle", [FLAT, HEADS])
def test_scales_and_blocks_go_into_the_values(middle):
    model = made(middle)
    before, reader = outputs(model), node(model, "z")
    groups = tied(model, reader.inputs[0], -1)
    assert groups == [[c, c + 4] for c in (0, 1, 2, 3, 8, 9, 10, 11)]
    scale = np.ones(16)
    for group, factor in zip(groups, np.exp(np.random.default_rng(1).standard_normal(8)), strict=True):
        scale[group] = factor
    assert fold_diagonal(model, reader.inputs[0], scale, -1)
    divide(model, reader, scale)
    same(model, before)
    assert tied_blocks(model, reader.inputs[0], 2, -1) == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert tied_blocks(model, reader.inputs[0], 8, -1) is None
    matrices = np.random.default_rng(2).standard_normal((8, 2, 2))[[0, 1, 0, 1, 4, 5, 4, 5]]
    assert fold_blocks(model, reader.inputs[0], matrices, -1)
    undone = np.linalg.inv(matrices).transpose(0, 2, 1) @ array(reader.inputs[1]).reshape(8, 2, -1)
    reader.replace_input_with(1, constant(model, "undone", undone.reshape(16, -1)))
    same(model, before)


def test_the_gain_of_a_norm():
    model = made(FLAT)
    before, readers = outputs(model), [node(model, name) for name in "qkv"]
    scale = np.exp(np.random.default_rng(1).standard_normal(6))
    assert not fold_diagonal(model, readers[0].inputs[0], scale, -1, readers=readers[:2])
    assert fold_diagonal(model, readers[0].inputs[0], scale, -1, readers=readers)
    for reader in readers:
        divide(model, reader, scale)
    same(model, before)
