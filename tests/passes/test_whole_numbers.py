"""Integers taken for numbers only to be compared or counted stay integers."""

import pytest

from edgegate.passes.whole_numbers import whole_numbers
from tests.passes.text import check, unchanged

HEAD = "g (float[2,6] x) => ({y} y) <int64[1] k = {{3}}, int64[1] one = {{1}}, int64[3] n = {{2, 3, 1}}, {more}>"
PLACES = "v, i = TopK (x, k)"


def both(before: str, after: str, y: str, *more: str) -> None:
    texts = [f"{HEAD.format(y=y, more=m)} {{ {PLACES} {line} }}" for line, m in zip((before, after), more, strict=True)]
    check(whole_numbers, *texts)


@pytest.mark.parametrize(
    ("op", "limits"),
    [("GreaterOrEqual", "1, 2, 4"), ("Less", "1, 2, 4"), ("Greater", "0, 2, 3"), ("LessOrEqual", "0, 2, 3")],
)
def test_comparisons_are_of_integers(op: str, limits: str) -> None:
    both(
        f"f = Cast <to = 1> (i) b = {op} (f, c) y = Cast <to = 1> (b)",
        f"b = {op} (i, c) y = Cast <to = 1> (b)",
        "float[2,3]", "float[3] c = {0.5, 2.0, 3.25}", f"int64[3] c = {{{limits}}}",
    )  # fmt: skip


def test_the_constant_may_stand_first() -> None:
    both(
        "f = Cast <to = 1> (i) b = Less (c, f) y = Cast <to = 1> (b)",
        "b = Less (c, i) y = Cast <to = 1> (b)",
        "float[2,3]", "float[1] c = {-0.5}", "int64[1] c = {-1}",
    )  # fmt: skip


def test_reshapes_between_them_are_of_integers() -> None:
    both(
        "f = Cast <to = 1> (i) r = Reshape (f, n) b = Less (r, c) y = Cast <to = 1> (b)",
        "b_whole = Reshape <allowzero = 0> (i, n) b = Less (b_whole, c) y = Cast <to = 1> (b)",
        "float[2,3,4]", "float[4] c = {0, 0.5, 1, 7}", "int64[4] c = {0, 1, 1, 7}",
    )  # fmt: skip


def test_no_number_between_two_integers() -> None:
    both(
        "t = Greater (x, z) c = Cast <to = 7> (t) s = ReduceSum <keepdims = 1> (c, one) f = Cast <to = 1> (s)"
        " j = Cast <to = 6> (f) h = Cast <to = 1> (i) m = Cast <to = 7> (h) w = Add (m, s)"
        " a = Cast <to = 1> (w) b = Cast <to = 1> (j) y = Add (a, b)",
        "t = Greater (x, z) c = Cast <to = 7> (t) s = ReduceSum <keepdims = 1> (c, one)"
        " j = Cast <to = 6> (s) w = Add (i, s)"
        " a = Cast <to = 1> (w) b = Cast <to = 1> (j) y = Add (a, b)",
        "float[2,3]", "float[1] z = {0.25}", "float[1] z = {0.25}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2,6] x) => (float[2,6] y) <float[1] c = {1}> { b = Less (x, c) y = Cast <to = 1> (b) }",
        "g (float[2,6] x) => (float[2,6] y) { i = Cast <to = 7> (x) f = Cast <to = 1> (i) j = Cast <to = 7> (f)"
        " y = Cast <to = 1> (j) }",
        "g (float[2,6] x) => (float[2,6] y) <float[1] c = {16777216}> { i = Cast <to = 7> (x) f = Cast <to = 1> (i)"
        " b = Less (f, c) y = Cast <to = 1> (b) }",
    ],
)
def test_what_is_rounded_stays(text: str) -> None:
    """Numbers that were never integers, integers of any size, and limits where float32 has no odd number."""
    unchanged(whole_numbers, text)
