from edgegate.passes.explicit_axes import explicit_axes
from tests.passes.text import check, unchanged


def test_everything_is_written_out():
    check(
        explicit_axes,
        """g (float[2,4] x) => (a, b, c, d, e) <int64[1] s = {-3}, int64[1] t = {99}, int64[1] m = {-1},
            int64[2] r = {-1, 0}> {
            a, b = Split <axis = -1, num_outputs = 2> (x)
            c = Transpose (x)
            d = ReduceMean (x, r)
            e = Slice (x, s, t, m)
        }""",
        """g (float[2,4] x) => (a, b, c, d, e) <int64[2] n = {2, 2}, int64[2] r = {0, 1}, int64[1] s = {1},
            int64[1] t = {4}, int64[1] one = {1}> {
            a, b = Split <axis = 1> (x, n)
            c = Transpose <perm = [1, 0]> (x)
            d = ReduceMean <keepdims = 1> (x, r)
            e = Slice (x, s, t, one, one)
        }""",
    )


def test_a_reduction_without_axes_means_all():
    check(
        explicit_axes,
        "g (float[2,4] x) => (y) { y = ReduceMax <keepdims = 0> (x) }",
        "g (float[2,4] x) => (y) <int64[2] r = {0, 1}> { y = ReduceMax <keepdims = 0> (x, r) }",
    )


def test_backwards_stays():
    unchanged(
        explicit_axes,
        """g (float[2,4] x) => (y) <int64[1] s = {-1}, int64[1] e = {-99}, int64[1] a = {1}, int64[1] t = {-1}> {
            y = Slice (x, s, e, a, t)
        }""",
    )


def test_an_empty_range_ends_where_it_starts():
    check(
        explicit_axes,
        "g (float[2,4] x) => (y) <int64[1] s = {3}, int64[1] e = {1}, int64[1] a = {1}> { y = Slice (x, s, e, a) }",
        """g (float[2,4] x) => (y) <int64[1] s = {3}, int64[1] e = {3}, int64[1] a = {1}, int64[1] t = {1}> {
            y = Slice (x, s, e, a, t)
        }""",
    )
