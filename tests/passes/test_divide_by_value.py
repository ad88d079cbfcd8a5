from edgegate.passes.divide_by_value import divide_by_value
from tests.passes.text import check, unchanged


def test_division_becomes_a_product_with_the_reciprocal():
    check(
        divide_by_value,
        "g (float[2,3] x, float[2,1] z) => (y) { a = Exp (z) y = Div (x, a) }",
        "g (float[2,3] x, float[2,1] z) => (y) { a = Exp (z) y_reciprocal = Reciprocal (a) y = Mul (x, y_reciprocal) }",
    )


def test_constants_and_integers_stay():
    unchanged(divide_by_value, "g (float[2] x) => (y) <float[2] c = {4, 3}> { y = Div (x, c) }")
    unchanged(divide_by_value, "g (float[2] x) => (y) <float[2] c = {4, 3}> { y = Div (c, x) }")
    unchanged(
        divide_by_value,
        "g (float[2] x) => (y) { i = Cast <to = 6> (x) j = Abs (i) k = Neg (j) y = Div (k, j) }",
    )


def test_a_divisor_that_is_no_function_of_one_number_stays():
    unchanged(divide_by_value, "g (float[2,3] x, float[2,3] z) => (y) { a = Max (z, x) y = Div (x, a) }")
    unchanged(divide_by_value, "g (float[2,3] x, float[2,3] z) => (y) { y = Div (x, z) }")


def test_a_divisor_that_is_shifted_or_clipped_spreads_as_before():
    one = "float e = {0.001}, float t = {2}"
    for text in ("a = Add (z, e)", "b = Mul (z, t) a = Sub (b, e)", "b = Relu (z) a = Max (b, e)"):
        unchanged(divide_by_value, f"g (float[2,3] x, float[2,1] z) => (y) <{one}> {{ {text} y = Div (x, a) }}")
    for text in ("b = Exp (z) a = Add (b, e)", "b = Mul (z, z) a = Add (b, e)"):
        check(
            divide_by_value,
            f"g (float[2,3] x, float[2,1] z) => (y) <{one}> {{ {text} y = Div (x, a) }}",
            f"""g (float[2,3] x, float[2,1] z) => (y) <{one}> {{
                {text} y_reciprocal = Reciprocal (a) y = Mul (x, y_reciprocal)
            }}""",
        )
