from edgegate.passes.drop_identities import drop_identities
from tests.passes.text import check, unchanged


def test_what_changes_nothing_goes():
    check(
        drop_identities,
        """g (float[1,4] x) => (y) <int64[2] dims = {1, 4}, int64[4] pads = {0, 0, 0, 0}, int64[1] zero = {0},
            int64[1] all = {9}> {
            a = Relu (x)
            b = Identity (a)
            c, mask = Dropout (b)
            d = Cast <to = 1> (c)
            e = Reshape (d, dims)
            f = Transpose <perm = [0, 1]> (e)
            h = Pad (f, pads)
            i = Slice (h, zero, all)
            j = Concat <axis = 0> (i)
            y = Neg (j)
        }""",
        "g (float[1,4] x) => (y) { a = Relu (x) y = Neg (a) }",
    )


def test_a_graph_output_keeps_its_name():
    check(
        drop_identities,
        "g (float[1,4] x) => (y) { a = Relu (x) y = Identity (a) }",
        "g (float[1,4] x) => (y) { y = Relu (x) }",
    )


def test_two_outputs_and_an_input_need_a_node_between():
    unchanged(drop_identities, "g (float[1,4] x) => (x2) { x2 = Identity (x) }")
    unchanged(drop_identities, "g (float[1,4] x) => (a, y) { a = Relu (x) y = Identity (a) }")


def test_what_moves_values_stays():
    unchanged(
        drop_identities,
        """g (float[4,4] x) => (y) <int64[4] pads = {1, 0, -1, 0}, int64[1] s = {-1}, int64[1] e = {-9},
            int64[1] a = {0}, int64[1] t = {-1}> {
            p = Pad (x, pads)
            q = Slice (p, s, e, a, t)
            y = Transpose (q)
        }""",
    )


def test_dropout_that_trains_stays():
    unchanged(
        drop_identities,
        "g (float[4] x) => (y) <float r = {0.5}, bool t = {1}> { a = Dropout (x, r, t) y = Neg (a) }",
    )
