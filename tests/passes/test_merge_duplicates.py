from edgegate.passes.merge_duplicates import merge_duplicates
from tests.passes.text import check, unchanged


def test_equal_nodes_and_numbers_are_one():
    check(
        merge_duplicates,
        """g (float[2] x) => (y) <float c = {3}, float d = {3}> {
            a = Add (x, c)
            b = Add (x, d)
            y = Mul (a, b)
        }""",
        "g (float[2] x) => (y) <float c = {3}> { a = Add (x, c) y = Mul (a, a) }",
    )


def test_layers_with_equal_weights_stay_apart():
    unchanged(
        merge_duplicates,
        """g (float[1,2] x) => (y) <float[2,2] v = {1, 2, 3, 4}, float[2,2] w = {1, 2, 3, 4}> {
            a = MatMul (x, v)
            b = MatMul (x, w)
            y = Mul (a, b)
        }""",
    )
