from edgegate.passes.settled_choices import settled_choices
from edgegate.passes.signs_to_factors import signs_to_factors
from tests.passes.text import check, unchanged

HEAD = "g (float[2,2] x, float[2,2] z) => (y)"


def test_signs_go_into_the_factor_behind():
    check(
        signs_to_factors,
        HEAD + " <float[4] s = {1, 2, 3, 4}> { n = Neg (x) c = Concat <axis = 1> (n, z) y = Mul (c, s) }",
        HEAD + " <float[1,4] s = {-1, -2, 3, 4}> { c = Concat <axis = 1> (x, z) y = Mul (c, s) }",
    )


def test_a_factor_of_one_number_gets_an_axis():
    check(
        signs_to_factors,
        HEAD + " <float m = {-1}, float s = {2}> { n = Mul (m, z) c = Concat <axis = 0> (x, n) y = Mul (s, c) }",
        HEAD + " <float[4,1] s = {2, 2, -2, -2}> { c = Concat <axis = 0> (x, z) y = Mul (s, c) }",
    )


def test_without_a_factor_they_become_one():
    check(
        signs_to_factors,
        HEAD + " { n = Neg (x) c = Concat <axis = 1> (n, z) y = Relu (c) }",
        HEAD + " <float[1,4] s = {-1, -1, 1, 1}> { c_joined = Concat <axis = 1> (x, z) c = Mul (c_joined, s)"
        " y = Relu (c) }",
    )


def test_other_joins_stay():
    unchanged(signs_to_factors, HEAD + " { c = Concat <axis = 1> (x, z) y = Neg (c) }")
    unchanged(signs_to_factors, HEAD + " <float[2] m = {-1, 1}> { n = Mul (x, m) y = Concat <axis = 1> (n, z) }")


def test_a_settled_choice_goes():
    for flags, kept in (("1, 1", "a"), ("0, 0", "b")):
        before = f" <bool[2] c = {{{flags}}}> {{ a = Relu (x) b = Relu (z) w = Where (c, a, b) y = Neg (w) }}"
        source = "x" if kept == "a" else "z"
        check(settled_choices, HEAD + before, HEAD + f" {{ {kept} = Relu ({source}) y = Neg ({kept}) }}")


def test_other_choices_stay():
    unchanged(settled_choices, HEAD + " <bool[2] c = {1, 0}> { y = Where (c, x, z) }")
    unchanged(
        settled_choices, "g (float[2,2] x, float[2] z) => (y) <bool[2] c = {0, 0}> { b = Relu (z) y = Where (c, x, b) }"
    )
