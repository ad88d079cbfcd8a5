import pytest

from edgegate.passes.explicit_resize import explicit_resize
from tests.passes.text import check, unchanged


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_sizes_become_scales(mode):
    check(
        explicit_resize,
        f"""g (float[1,1,6,4] x) => (y) <int64[4] sizes = {{1, 1, 10, 2}}> {{
            y = Resize <mode = "{mode}"> (x, , , sizes)
        }}""",
        f"""g (float[1,1,6,4] x) => (y) <float[4] scales = {{1, 1, 1.66667, 0.5}}> {{
            y = Resize <mode = "{mode}", coordinate_transformation_mode = "half_pixel",
                nearest_mode = "round_prefer_floor"> (x, , scales)
        }}""",
    )


def test_given_scales_and_modes_stay():
    check(
        explicit_resize,
        """g (float[1,1,5,5] x) => (y) <float[2] scales = {1.5, 2}> {
            y = Resize <axes = [2, 3], coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (x, , scales)
        }""",
        """g (float[1,1,5,5] x) => (y) <float[4] scales = {1, 1, 1.5, 2}> {
            y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (x, , scales)
        }""",
    )


def test_cubic_stays():
    unchanged(
        explicit_resize,
        'g (float[1,1,4,4] x) => (y) <float[4] s = {1, 1, 2, 2}> { y = Resize <mode = "cubic"> (x, , s) }',
    )


def test_sizes_that_no_float32_scale_gives_stay():
    unchanged(
        explicit_resize,  # floor(7 * float32(31 / 7)) is 30
        "g (float[1,1,7,4] x) => (y) <int64[4] sizes = {1, 1, 31, 4}> { y = Resize (x, , , sizes) }",
    )
