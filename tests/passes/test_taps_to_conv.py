from edgegate.passes.taps_to_conv import taps_to_conv
from tests.passes.text import check, unchanged


def test_a_sum_over_taps_becomes_a_convolution():
    check(
        taps_to_conv,
        "g (float[1,2,3] x) => (y) <float[2,3] c = {1, 2, 3, 4, 5, 6}, int64[1] a = {2}>"
        " { p = Mul (x, c) y = ReduceSum <keepdims = 0> (p, a) }",
        "g (float[1,2,3] x) => (y) <float[2,1,3] w = {1, 2, 3, 4, 5, 6}, float[2] b = {0, 0}, int64[2] s = {1, 2}>"
        " { y_sum = Conv <dilations = [1], group = 2, pads = [0, 0], strides = [1]> (x, w, b) y = Reshape (y_sum, s) }",
    )


def test_taps_of_heads_and_kept_axes():
    check(
        taps_to_conv,
        "g (float[2,1,2,2] x) => (y) <float[2,1] c = {1, 2}, int64[1] a = {3}>"
        " { p = Mul (c, x) y = ReduceSum <keepdims = 1> (p, a) }",
        "g (float[2,1,2,2] x) => (y) <float[2,1,2] w = {1, 1, 2, 2}, float[2] b = {0, 0}, int64[4] s = {2, 1, 2, 1},"
        " int64[3] d = {2, 2, 2}> { y_window = Reshape (x, d)"
        " y_sum = Conv <dilations = [1], group = 2, pads = [0, 0], strides = [1]> (y_window, w, b)"
        " y = Reshape (y_sum, s) }",
    )


def test_other_sums_stay():
    head = "g (float[2,2,3] x, float[2,2,3] z) => (y) <float[2,3] c = {1, 2, 3, 4, 5, 6}, int64[1] a = {1},"
    head += " int64[1] l = {2}, float h = {2}, float[2,1,1] n = {1, 2}>"
    unchanged(taps_to_conv, head + " { p = Mul (x, c) y = ReduceSum <keepdims = 0> (p, a) }")
    unchanged(taps_to_conv, head + " { p = Mul (x, z) y = ReduceSum <keepdims = 0> (p, l) }")
    unchanged(taps_to_conv, head + " { p = Mul (x, h) y = ReduceSum <keepdims = 0> (p, l) }")
    unchanged(taps_to_conv, head + " { p = Mul (x, n) y = ReduceSum <keepdims = 0> (p, l) }")
    unchanged(taps_to_conv, head + " { p = Mul (x, c) q = ReduceSum <keepdims = 1> (p, l) y = Add (p, q) }")
