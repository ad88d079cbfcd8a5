from edgegate.passes.divide_by_constant import divide_by_constant
from tests.passes.text import check, unchanged


def test_division_becomes_multiplication():
    check(
        divide_by_constant,
        "g (float[2] x) => (y) <float[2] c = {4, -0.5}> { y = Div (x, c) }",
        "g (float[2] x) => (y) <float[2] c = {0.25, -2}> { y = Mul (x, c) }",
    )


def test_no_reciprocal_no_change():
    unchanged(divide_by_constant, "g (float[2] x) => (y) <float[2] c = {4, 0}> { y = Div (x, c) }")
    unchanged(divide_by_constant, "g (float[2] x) => (y) <float c = {1e-40}> { y = Div (x, c) }")
    unchanged(divide_by_constant, "g (float[2] x, float[2] z) => (y) { y = Div (x, z) }")
    unchanged(divide_by_constant, "g (float[2] x) => (y) <float c = {2}> { y = Div (c, x) }")
