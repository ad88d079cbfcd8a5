import json

import numpy as np
import pytest

from edgegate.passes import run
from edgegate.passes.fold_affine import fold_affine
from edgegate.passes.to_affine import NORM, to_affine
from edgegate.passes.to_linear import to_linear
from edgegate.stages import floating
from tests.passes.text import check, outputs, parse


def both(model):
    to_linear(model)
    to_affine(model)
    fold_affine(model)


def test_norm_and_scale_go_into_the_convolution():
    model = check(
        both,
        """g (float[1,1,3] x) => (y) <float[2,1,1] w = {1, 2}, float[2] b = {1, 1}, float[2] gamma = {2, -3},
            float[2] beta = {1, 2}, float[2] mean = {4, 5}, float[2] var = {3, 8}, float[2,1] k = {10, -100}> {
            c = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (x, w, b)
            n = BatchNormalization <epsilon = 1.0> (c, gamma, beta, mean, var)
            y = Mul (n, k)
        }""",
        """g (float[1,1,3] x) => (y) <float[2,1,1] w = {10, 200}, float[2] b = {-20, -600}> {
            y = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (x, w, b)
        }""",
    )
    (conv,) = model.graph
    assert json.loads(conv.metadata_props[NORM]) == {"mean": [10, -200], "std": [20, 300]}
    assert [v.name for v in conv.inputs if v is not None] == ["x", "w", "b"]


def test_linear_takes_only_its_own_axis():
    text = """g (float[1,2,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float[2,1] p = {2, 4}, float[2] q = {2, 4}> {
        m = MatMul (x, w)
        y = Mul (m, q)
    }"""
    check(
        both,
        text,
        """g (float[1,2,2] x) => (y) <float[2,2] w = {2, 8, 6, 16}, float[2] b = {0, 0}> {
            y = edgegate.Linear (x, w, b)
        }""",
    )
    check(
        both,
        text.replace("(m, q)", "(m, p)"),
        """g (float[1,2,2] x) => (y)
            <float[2,2] w = {1, 2, 3, 4}, float[2] b = {0, 0}, float[2,1] p = {2, 4}, float[2,1] z = {0, 0}> {
            m = edgegate.Linear (x, w, b)
            y = edgegate.Affine <axis = 1> (m, p, z)
        }""",
    )


def test_one_affine_takes_the_next():
    check(
        both,
        """g (float[1,2,3] x) => (y) <float[2,1] p = {2, 4}, float[2,1] q = {1, 3}> {
            s = Mul (x, p)
            t = Add (s, q)
            y = Mul (t, p)
        }""",
        """g (float[1,2,3] x) => (y) <float[2,1] p = {4, 16}, float[2,1] q = {2, 12}> {
            y = edgegate.Affine <axis = 1> (x, p, q)
        }""",
    )


@pytest.mark.parametrize("outs", ["y, c", "y, z"])
def test_a_layer_with_other_readers_keeps_its_weights(outs):
    model = parse(
        f"""g (float[1,1,3] x) => ({outs})
            <float[2,1,1] w = {{1, 2}}, float[2] b = {{1, 1}}, float[2,1] k = {{3, 4}}> {{
            c = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (x, w, b)
            y = Mul (c, k)
            z = Relu (c)
        }}"""
    )
    run(model, [both], floating)
    assert [n.op_type for n in model.graph][:2] == ["Conv", "Affine"]


def test_shared_weights_are_scaled_for_one_layer_only():
    model = parse(
        """g (float[1,1,3] x) => (y, z) <float[2,1,1] w = {1, 2}, float[2] b = {1, 1}, float[2,1] k = {3, 4}> {
            c = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (x, w, b)
            z = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (x, w, b)
            y = Mul (c, k)
        }"""
    )
    want = outputs(model)
    run(model, [both], floating)
    for got, wanted in zip(outputs(model), want, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
