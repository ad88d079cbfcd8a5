"""Masks of minus infinity inside sums go to the maxima and exponentials behind them."""

import pytest

from edgegate.passes.outer_masks import outer_masks
from tests.passes.text import check, lines, parse, unchanged

HEAD = (
    "g (float[2,3,4] x, float[2,1,4] z) => (float[{dims}] y) <bool[3,4] k = {{1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0}},"
    " bool[3,4] h = {{0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1}}, float inf = {{-inf}}, int64[1] last = {{-1}}{more}>"
)
ZERO = ", float zero = {0}"


def both(before: str, after: str, dims: str, more: str = "") -> None:
    check(outer_masks, f"{HEAD.format(dims=dims, more='')} {{ {before} }}",
          f"{HEAD.format(dims=dims, more=more)} {{ {after} }}")  # fmt: skip


def test_gates_of_a_chunk() -> None:
    """As mLSTM has them: hidden, then the input gates, the greatest of the row off, exponentials."""
    both(
        "w = Where (k, x, inf) a = Add (w, z) m = ReduceMax <keepdims = 1> (a, last) s = Sub (a, m) y = Exp (s)",
        "a_seen = Add (x, z) m_least = ReduceMin <keepdims = 1> (a_seen, last) m_filled = Where (k, a_seen, m_least)"
        " m = ReduceMax <keepdims = 1> (m_filled, last) s_seen = Sub (a_seen, m)"
        " y_least = ReduceMin <keepdims = 1> (s_seen, last) y_filled = Where (k, s_seen, y_least)"
        " y_kept = Exp (y_filled) y = Where (k, y_kept, zero)",
        "2,3,4", ZERO,
    )  # fmt: skip


def test_a_maximum_of_what_is_kept() -> None:
    both(
        "w = Where (h, inf, x) y = ReduceMax <keepdims = 0> (w, last)",
        "y_least = ReduceMin <keepdims = 1> (x, last) y_filled = Where (h, y_least, x)"
        " y = ReduceMax <keepdims = 0> (y_filled, last)",
        "2,3",
    )  # fmt: skip


def test_a_maximum_of_what_the_mask_spreads() -> None:
    both(
        "w = Where (k, z, inf) y = ReduceMax <keepdims = 1> (w, last)",
        "y_whole = Expand (z, all) y_least = ReduceMin <keepdims = 1> (y_whole, last)"
        " y_filled = Where (k, y_whole, y_least) y = ReduceMax <keepdims = 1> (y_filled, last)",
        "2,3,1", ", int64[3] all = {2, 3, 4}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "w = Where (k, x, inf) y = Softmax (w)",
        "w = Where (k, x, inf) a = Add (w, z) b = Softmax (a) m = ReduceMax <keepdims = 1> (a, last) y = Mul (b, m)",
        "w = Where (k, x, inf) y = Exp (w)",
        "w = Where (k, x, inf) a = Sub (z, w) m = ReduceMax <keepdims = 1> (a, last) y = Add (x, m)",
        "b = Greater (z, x) w = Where (b, x, inf) a = Add (w, z) m = ReduceMax <keepdims = 1> (a, last) y = Add (x, m)",
        "w = Where (k, x, inf) a = Add (w, z) m = ReduceMax <keepdims = 1> (a, rows) y = Add (x, m)",
        "w = Where (none, x, inf) a = Add (w, z) m = ReduceMax <keepdims = 1> (a, last) y = Add (x, m)",
        "w = Where (k, x, z) a = Add (w, z) y = Exp (a)",
    ],
)
def test_what_other_passes_see_to_stays(line: str) -> None:
    """Masks of a softmax and those right in front of an Exp; infinity that may stay, is added up or is not there."""
    more = ", int64[1] rows = {-2}, bool[3,4] none = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}"
    unchanged(outer_masks, f"{HEAD.format(dims='2,3,4', more=more)} {{ {line} }}")


def test_an_output_of_the_model_keeps_its_infinity() -> None:
    text = f"{HEAD.format(dims='2,3,4', more='')} {{ w = Where (k, x, inf) y = Add (w, z) }}"
    model = parse(text)
    outer_masks(model)
    assert lines(model) == lines(parse(text))
