from edgegate.passes.split_slopes import split_slopes
from tests.passes.text import check, unchanged


def test_slopes_scale_the_negative_part():
    check(
        split_slopes,
        "g (float[1,2,3] x) => (y) <float[2,1] s = {0.5, -2}> { y = PRelu (x, s) }",
        """g (float[1,2,3] x) => (y) <float[2,1] s = {0.5, -2}, float zero = {0}> {
            y_negative = Clip (x, , zero)
            y_positive = Relu (x)
            y_scaled = Mul (y_negative, s)
            y = Add (y_positive, y_scaled)
        }""",
    )


def test_one_slope_is_a_function_and_a_computed_one_no_constant():
    unchanged(split_slopes, "g (float[1,2,3] x) => (y) <float[1] s = {0.5}> { y = PRelu (x, s) }")
    unchanged(split_slopes, "g (float[1,2,3] x, float[2,1] s) => (y) { y = PRelu (x, s) }")
