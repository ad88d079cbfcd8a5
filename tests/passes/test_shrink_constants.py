"""Tensors of equal numbers become one number, where nothing but their shape is lost."""

from edgegate.passes.shrink_constants import shrink_constants
from tests.passes.text import check, unchanged

FULL = "float[1,2,3] c = {2, 2, 2, 2, 2, 2}"


def test_a_full_constant_is_one_number():
    check(
        shrink_constants,
        f"g (float[1,2,3] x) => (y) <{FULL}> {{ a = Mul (c, x) y = Sub (a, c) }}",
        "g (float[1,2,3] x) => (y) <float d = {2}> { a = Mul (d, x) y = Sub (a, d) }",
    )


def test_what_gives_the_result_its_shape_or_differs_stays():
    unchanged(shrink_constants, f"g (float[1,1,3] x) => (y) <{FULL}> {{ y = Mul (c, x) }}")
    unchanged(shrink_constants, "g (float[1,2,3] x) => (y) <float[1,2,3] c = {2,2,2,2,2,1}> { y = Mul (c, x) }")


def test_numbers_per_channel_stay():
    unchanged(shrink_constants, "g (float[1,2,3] x) => (y) <float[3] c = {2, 2, 2}> { y = Mul (c, x) }")
    unchanged(shrink_constants, "g (float[1,3] x) => (y) <float[1,3] c = {2, 2, 2}> { y = Mul (c, x) }")
