import numpy as np
import pytest

from edgegate.passes.name_unary import name_unary
from edgegate.passes.to_affine import to_affine
from tests.passes.text import check, lines, outputs, parse, unchanged

CONV = "<pads = [0, 0], strides = [1], dilations = [1], group = 1>"


def test_a_function_written_out_becomes_one_node():
    check(
        name_unary,
        """g (float[4] x) => (y) <float half = {0.5}, float one = {1}, float s = {0.70710678}> {
            a = Mul (x, s)
            b = Erf (a)
            c = Add (b, one)
            d = Mul (x, c)
            y = Mul (half, d)
        }""",
        "g (float[4] x) => (y) { y = edgegate.unary.GELU (x) }",
    )


def test_unknown_functions_get_numbers_and_equal_ones_share():
    model = check(
        name_unary,
        """g (float[4] x, float[4] z) => (a, b, c) <float two = {2}, float three = {3}> {
            s = Sin (x)  a = Mul (s, two)
            t = Sin (z)  b = Mul (t, two)
            u = Sin (z)  c = Mul (u, three)
        }""",
        """g (float[4] x, float[4] z) => (a, b, c) {
            a = edgegate.unary.Scalar_1 (x)
            b = edgegate.unary.Scalar_1 (z)
            c = edgegate.unary.Scalar_2 (z)
        }""",
    )
    assert [f.name for f in model.functions.values()] == ["Scalar_1", "Scalar_2"]


def test_a_clipped_or_scaled_value_that_stays_starts_the_next_function():
    check(
        name_unary,
        """g (float[2,2] x) => (y, z, r, t) <float one = {1}> {
            r = Relu (x)
            y = Sigmoid (r)
            t = Tanh (x)
            z = Sub (one, t)
        }""",
        """g (float[2,2] x) => (y, z, r, t) {
            r = Relu (x)
            y = edgegate.unary.Sigmoid (r)
            t = edgegate.unary.Tanh (x)
            z = edgegate.unary.Scalar_1 (t)
        }""",
    )


def test_a_bent_value_that_stays_is_not_rounded_twice():
    check(
        name_unary,
        """g (float[2,2] x) => (y, b) <float one = {1}> {
            a = Exp (x)
            b = Add (a, one)
            y = Log (b)
        }""",
        """g (float[2,2] x) => (y, b) {
            b = edgegate.unary.Scalar_1 (x)
            y = edgegate.unary.Softplus (x)
        }""",
    )
    check(
        name_unary,
        "g (float[2] x) => (y, t) { t = Tanh (x) y = Mul (t, t) }",
        "g (float[2] x) => (y, t) { t = edgegate.unary.Tanh (x) y = edgegate.unary.Scalar_1 (x) }",
    )


def test_a_value_is_computed_twice_rather_than_a_function_torn_apart():
    check(
        name_unary,
        """g (float[2,2] x) => (y, m) {
            s = Sigmoid (x)
            m = Softmax (s)
            y = Mul (s, x)
        }""",
        """g (float[2,2] x) => (y, m) {
            s = edgegate.unary.Sigmoid (x)
            m = Softmax (s)
            y = edgegate.unary.SiLU (x)
        }""",
    )


def test_a_gate_is_no_function_of_one_value():
    check(
        name_unary,
        "g (float[4] x, float[4] z) => (y) { s = Sigmoid (x) y = Mul (s, z) }",
        "g (float[4] x, float[4] z) => (y) { s = edgegate.unary.Sigmoid (x) y = Mul (s, z) }",
    )


def test_truth_values_stay_inside():
    check(
        name_unary,
        """g (float[4] x) => (y) <float half = {0.5}> {
            s = Sigmoid (x)
            b = Greater (s, half)
            y = Cast <to = 1> (b)
        }""",
        "g (float[4] x) => (y) { y = edgegate.unary.Scalar_1 (x) }",
    )
    check(
        name_unary,
        "g (float[4] x) => (b) <float half = {0.5}> { s = Sigmoid (x) b = Greater (s, half) }",
        "g (float[4] x) => (b) <float half = {0.5}> { s = edgegate.unary.Sigmoid (x) b = Greater (s, half) }",
    )


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        ("y = Max (x, zero)", "y = ::Relu<>(x)"),
        ("a = Relu (x) y = Min (a, six)", "y = ::Clip<>(x, float320.0, float326.0)"),
        ("a = Neg (x) b = Relu (a) y = Neg (b)", "y = ::Clip<>(x, , float320.0)"),
        ("a = Neg (x) y = Neg (a)", "y = ::Identity<>(x)"),
    ],
)
def test_clips_are_found(formula, result):
    model = parse(f"g (float[4] x) => (y) <float zero = {{0}}, float six = {{6}}> {{ {formula} }}")
    wanted = outputs(model)
    name_unary(model)
    assert lines(model) == [result]
    assert np.array_equal(outputs(model), wanted)


def test_relu_and_clip_alone_stay():
    unchanged(
        name_unary,
        """g (float[4] x, float[4] z) => (y) <float zero = {0}, float six = {6}> {
            a = Relu (x)
            b = Clip (z, zero, six)
            y = Add (a, b)
        }""",
    )


def test_what_is_not_scalar_stays():
    unchanged(
        name_unary,
        """g (float[1,2] x, float[2,2] z) => (y, w, v) <float[2] slope = {0.1, 0.2}, float[1,1,1] c = {2}> {
            y = PRelu (x, slope)
            w = Add (x, z)
            v = Mul (x, c)
        }""",
    )


def test_a_line_after_a_layer_becomes_affine():
    def both(model):
        to_affine(model)
        name_unary(model)

    text = f"""g (float[1,1,3] x) => (y) <float[2,1,1] w = {{1, 2}}, float[2] b = {{1, 1}}, float k = {{3}}> {{
        c = Conv {CONV} (x, w, b)
        y = Mul (c, k)
    }}"""
    check(
        both,
        text,
        f"""g (float[1,1,3] x) => (y)
            <float[2,1,1] w = {{1, 2}}, float[2] b = {{1, 1}}, float[2,1] k = {{3, 3}}, float[2,1] z = {{0, 0}}> {{
            c = Conv {CONV} (x, w, b)
            y = edgegate.Affine <axis = 1> (c, k, z)
        }}""",
    )
    model = parse(text.replace("=> (y)", "=> (y, z)").replace("y = Mul (c, k)", "y = Mul (c, k) z = Relu (c)"))
    both(model)
    assert [n.op_type for n in model.graph] == ["Conv", "Scalar_1", "Relu"]
    check(
        both,
        text.replace("=> (y)", "=> (y, c)"),
        f"""g (float[1,1,3] x) => (y, c) <float[2,1,1] w = {{1, 2}}, float[2] b = {{1, 1}}> {{
            c = Conv {CONV} (x, w, b)
            y = edgegate.unary.Scalar_1 (c)
        }}""",
    )


def test_a_formula_that_overflows_far_out_is_still_known():
    check(
        name_unary,
        "g (float[4] x) => (y) { s = Sigmoid (x) y = Log (s) }",
        "g (float[4] x) => (y) { y = edgegate.unary.LogSigmoid (x) }",
    )


def test_names_hold_where_a_function_is_undefined():
    check(
        name_unary,
        "g (float[4] x) => (y) <float half = {0.5}> { y = Pow (x, half) }",
        "g (float[4] x) => (y) { y = edgegate.unary.Sqrt (x) }",
    )
