from edgegate.passes.skip_expand import skip_expand
from tests.passes.text import check, unchanged


def test_arithmetic_broadcasts():
    check(
        skip_expand,
        """g (float[1,2,3] x, float[1,2,1] s) => (y) <int64[3] dims = {1, 2, 3}> {
            e = Expand (s, dims)
            y = Mul (x, e)
        }""",
        "g (float[1,2,3] x, float[1,2,1] s) => (y) { y = Mul (x, s) }",
    )


def test_an_expand_that_makes_the_shape_stays():
    unchanged(
        skip_expand,
        """g (float[1,2,1] x, float[1,2,1] s) => (y, z, e) <int64[3] dims = {1, 2, 3}> {
            e = Expand (s, dims)
            y = Mul (x, e)
            z = Neg (e)
        }""",
    )


def test_a_constant_must_not_make_the_shape():
    unchanged(
        skip_expand,
        """g (float[1,2,1] s) => (y) <int64[3] dims = {1, 2, 3}, float[3] c = {1, 2, 3}> {
            e = Expand (s, dims)
            y = Mul (e, c)
        }""",
    )
