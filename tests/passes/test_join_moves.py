import pytest

from edgegate.passes.join_moves import join_moves
from tests.passes.integer_text import check, unchanged

X = "g (int8[2,3,4] x) => (y)"


def test_reshapes_of_reshapes():
    check(
        join_moves,
        f"{X} <int64[2] a = {{2, 12}}, int64[1] b = {{24}}, int64[2] c = {{0, -1}}> "
        "{ p = Reshape (x, a) q = Reshape (p, b) r = Reshape (q, a) s = Max (r, r) y = Reshape (s, c) }",
        f"{X} <int64[2] a = {{2, 12}}> {{ r = Reshape (x, a) y = Max (r, r) }}",
    )


def test_a_copied_axis_is_written_out():
    """0 and -1 speak of the input that a Reshape had."""
    check(
        join_moves,
        f"{X} <int64[2] a = {{6, 4}}, int64[3] b = {{0, 2, -1}}> {{ p = Reshape (x, a) y = Reshape (p, b) }}",
        f"{X} <int64[3] b = {{6, 2, 2}}> {{ y = Reshape (x, b) }}",
    )


def test_transposes_of_transposes():
    """The permutations are neither their own inverses nor commute."""
    check(
        join_moves,
        f"{X} {{ p = Transpose <perm = [1, 2, 0]> (x) y = Transpose <perm = [0, 2, 1]> (p) }}",
        f"{X} {{ y = Transpose <perm = [1, 0, 2]> (x) }}",
    )


def test_inverse_pairs():
    check(
        join_moves,
        f"""{X} <int64[3] a = {{2, 3, 4}}, int64[2] b = {{6, 4}}, int64[3] z = {{1, 1, 2}}> {{
            m = Max (x, x)
            p = Transpose <perm = [1, 2, 0]> (m) q = Transpose <perm = [2, 0, 1]> (p)
            r = Reshape (q, b) s = Reshape (r, a)
            t, u, v = Split <axis = 2> (s, z) w = Concat <axis = -1> (t, u, v)
            y = Max (w, m)
        }}""",
        f"{X} {{ m = Max (x, x) y = Max (m, m) }}",
    )


def test_a_split_of_a_concat():
    check(
        join_moves,
        """g (int8[2,3] a, int8[2,4] b) => (y, z) <int64[2] s = {3, 4}> {
            p = Max (a, a) c = Concat <axis = 1> (p, b) q, r = Split <axis = -1> (c, s) y = Max (q, a) z = Max (r, b)
        }""",
        "g (int8[2,3] a, int8[2,4] b) => (y, z) { p = Max (a, a) y = Max (p, a) z = Max (b, b) }",
    )


def test_identities():
    check(
        join_moves,
        f"""{X} <int64[3] n = {{0, -2, 2}}, int64[1] all = {{4}}> {{
            a = Transpose <perm = [0, 1, 2]> (x) b = Gather <axis = 1> (a, n) c = Concat <axis = 1> (b)
            d = Split <axis = 2> (c, all) y = Max (d, x)
        }}""",
        f"{X} {{ y = Max (x, x) }}",
    )


def test_a_transpose_that_moves_ones_is_a_reshape():
    """And goes with the Reshapes around it."""
    check(
        join_moves,
        """g (int8[1,3,4] x) => (y) <int64[3] a = {3, 1, 4}, int64[2] b = {6, 2}> {
            p = Reshape (x, a) q = Transpose <perm = [1, 0, 2]> (p) s = Max (q, x)
            r = Transpose <perm = [1, 2, 0]> (s) y = Reshape (r, b)
        }""",
        "g (int8[1,3,4] x) => (y) <int64[2] b = {6, 2}> { s = Max (x, x) y = Reshape (s, b) }",
    )
    check(
        join_moves,
        "g (int8[1,3,4] x) => (y) { y = Transpose <perm = [1, 2, 0]> (x) }",
        "g (int8[1,3,4] x) => (y) <int64[3] a = {3, 4, 1}> { y = Reshape <allowzero = 0> (x, a) }",
    )


@pytest.mark.parametrize(
    "inside",
    [
        "y = Transpose <perm = [1, 0, 2]> (m)",
        "p = Transpose <perm = [1, 0, 2]> (m) y = Reshape (p, a)",
        "p = Reshape (m, a) y = Transpose <perm = [1, 0]> (p)",
        "y = Gather <axis = 0> (m, turned)",
        "y = Gather <axis = 1> (m, some)",
        "t, u = Split <axis = 0> (m, halves) y = Concat <axis = 0> (u, t)",
        "t, u = Split <axis = 0> (m, halves) y = Concat <axis = 1> (t, u)",
        "t, u = Split <axis = 0> (m, halves) y = Concat <axis = 0> (t, u, t)",
        "t, u, v = Split <axis = 1> (m, thirds) y = Concat <axis = 1> (t, u)",
        "c = Concat <axis = 1> (m, m) t, u = Split <axis = 1> (c, other) y = Concat <axis = 1> (u, t)",
        "c = Concat <axis = 1> (m, m) t, u = Split <axis = 0> (c, halves) y = Max (t, u)",
    ],
)
def test_what_moves_something_stays(inside):
    constants = """int64[2] a = {6, 4}, int64[2] turned = {1, 0}, int64[2] some = {0, 1}, int64[2] halves = {1, 1},
        int64[3] thirds = {1, 1, 1}, int64[2] other = {2, 4}"""
    unchanged(join_moves, f"{X} <{constants}> {{ m = Max (x, x) {inside} }}")


def test_outputs_keep_their_names():
    """An identity stays where a graph output would lose its name, and one value cannot be two outputs."""
    unchanged(join_moves, f"{X} <int64[3] a = {{2, 3, 4}}> {{ y = Reshape (x, a) }}")
    unchanged(
        join_moves,
        """g (int8[2,3] x) => (y, z) <int64[2] s = {3, 3}> {
            p = Max (x, x) c = Concat <axis = 1> (p, p) y, z = Split <axis = 1> (c, s)
        }""",
    )


def test_a_value_that_others_read_stays():
    given = "g (int8[6] x) => (p, y) <int64[2] a = {1, 6}, int64[2] b = {2, 3}>"
    text = given + " { p = Reshape (x, a) y = Reshape (%s, b) }"
    check(join_moves, text % "p", text % "x")
