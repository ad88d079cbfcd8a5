import pytest

from edgegate.passes.explicit_triangles import explicit_triangles
from tests.passes.text import check, unchanged


@pytest.mark.parametrize(
    ("op", "kept"),
    [
        ("Trilu <upper = 0> (x, place)", "1, 1, 0, 1, 1, 1"),
        ("Trilu (x, place)", "0, 1, 1, 0, 0, 1"),
        ("Trilu (x)", "1, 1, 1, 0, 1, 1"),
        ("Trilu <upper = 0> (x)", "1, 0, 0, 1, 1, 0"),
    ],
)
def test_a_triangle_of_numbers_is_a_choice(op: str, kept: str) -> None:
    check(
        explicit_triangles,
        f"g (float[2,2,3] x) => (y) <int64 place = {{1}}> {{ y = {op} }}",
        f"""g (float[2,2,3] x) => (float[2,2,3] y) <bool[2,3] kept = {{{kept}}}, float nothing = {{0}}> {{
            y = Where (kept, x, nothing)
        }}""",
    )


def test_a_triangle_of_truths_is_kept_where_both_are_true() -> None:
    check(
        explicit_triangles,
        "g (float[3,2] x) => (y) <float o = {0}> { b = Greater (x, o) \n y = Trilu (b) }",
        """g (float[3,2] x) => (bool[3,2] y) <float o = {0}, bool[3,2] kept = {1, 1, 0, 1, 0, 0}> {
            b = Greater (x, o)
            y = And (b, kept)
        }""",
    )


def test_a_diagonal_that_is_computed_is_left_alone() -> None:
    unchanged(explicit_triangles, "g (float[3,3] x, int64 k) => (float[3,3] y) { y = Trilu (x, k) }")
