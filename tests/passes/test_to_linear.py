from edgegate.passes.to_linear import to_linear
from tests.passes.text import check, unchanged


def test_gemm():
    check(
        to_linear,
        """g (float[1,2] x) => (y) <float[3,2] w = {1, 2, 3, 4, 5, 6}, float[3] b = {1, 2, 3}> {
            y = Gemm <transB = 1, alpha = 2.0, beta = 0.5> (x, w, b)
        }""",
        """g (float[1,2] x) => (y) <float[2,3] w = {2, 6, 10, 4, 8, 12}, float[3] b = {0.5, 1, 1.5}> {
            y = edgegate.Linear (x, w, b)
        }""",
    )


def test_matmul_takes_the_bias_after_it():
    check(
        to_linear,
        """g (float[2,3,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float[2] b = {5, 6}> {
            m = MatMul (x, w)
            y = Add (b, m)
        }""",
        """g (float[2,3,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float[2] b = {5, 6}> {
            y = edgegate.Linear (x, w, b)
        }""",
    )


def test_a_constant_on_the_left_mixes_tokens():
    check(
        to_linear,
        """g (float[1,2,3] x) => (y) <float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul (w, x) }""",
        """g (float[1,2,3] x) => (y) <float[2,4] w = {1, 3, 5, 7, 2, 4, 6, 8}, float[4] b = {0, 0, 0, 0}> {
            y_transposed = Transpose <perm = [0, 2, 1]> (x)
            y_mixed = edgegate.Linear (y_transposed, w, b)
            y = Transpose <perm = [0, 2, 1]> (y_mixed)
        }""",
    )


def test_a_bias_of_something_read_elsewhere_of_one_number_or_of_rows_stays_outside():
    check(
        to_linear,
        """g (float[2,2] x) => (y, m) <float[2,2] w = {1, 2, 3, 4}, float[2] b = {5, 6}> {
            m = MatMul (x, w)
            y = Add (m, b)
        }""",
        """g (float[2,2] x) => (y, m)
            <float[2,2] w = {1, 2, 3, 4}, float[2] z = {0, 0}, float[2] b = {5, 6}> {
            m = edgegate.Linear (x, w, z)
            y = Add (m, b)
        }""",
    )
    check(
        to_linear,
        "g (float[2,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float n = {5}> { m = MatMul (x, w) y = Add (m, n) }",
        """g (float[2,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float[2] z = {0, 0}, float n = {5}> {
            m = edgegate.Linear (x, w, z)
            y = Add (m, n)
        }""",
    )
    unchanged(
        to_linear,
        """g (float[2,2] x) => (y) <float[2,2] w = {1, 2, 3, 4}, float[2,2] b = {5, 6, 7, 8}> {
            y = Gemm (x, w, b)
        }""",
    )


def test_two_activations_stay():
    unchanged(to_linear, "g (float[2,2] x, float[2,2] z) => (y, u) { y = MatMul (x, z) u = Gemm (x, z) }")
