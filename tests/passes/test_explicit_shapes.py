from edgegate.passes.explicit_shapes import explicit_shapes
from tests.passes.text import check, unchanged


def test_all_become_one_reshape():
    check(
        explicit_shapes,
        """g (float[1,2,3] x) => (y) <int64[1] a = {0}, int64[2] r = {0, -1}> {
            s = Squeeze (x, a)
            u = Unsqueeze (s, a)
            f = Flatten (u)
            n = Neg (f)
            y = Reshape (n, r)
        }""",
        """g (float[1,2,3] x) => (y) <int64[2] d = {1, 6}> {
            f = Reshape (x, d)
            n = Neg (f)
            y = Reshape (n, d)
        }""",
    )


def test_a_transpose_is_no_reshape():
    unchanged(explicit_shapes, "g (float[1,2,3] x) => (y) { y = Transpose <perm = [1, 0, 2]> (x) }")
