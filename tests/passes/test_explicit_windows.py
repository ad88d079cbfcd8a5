import pytest

from edgegate.graph import attribute
from edgegate.passes.explicit_windows import explicit_windows
from tests.passes.text import check, unchanged

WEIGHTS = "float[1,1,2,2] w = {1, 2, 3, 4}"


@pytest.mark.parametrize(
    ("auto_pad", "pads"), [("SAME_UPPER", "0, 0, 1, 1"), ("SAME_LOWER", "1, 1, 0, 0"), ("VALID", "0, 0, 0, 0")]
)
def test_auto_pad_and_the_bias(auto_pad, pads):
    check(
        explicit_windows,
        f'g (float[1,1,4,4] x) => (y) <{WEIGHTS}> {{ y = Conv <auto_pad = "{auto_pad}"> (x, w) }}',
        f"""g (float[1,1,4,4] x) => (y) <{WEIGHTS}, float[1] b = {{0}}> {{
            y = Conv <pads = [{pads}], strides = [1, 1], dilations = [1, 1], group = 1> (x, w, b)
        }}""",
    )


def test_rounding_up_becomes_a_pad_of_a_max_pool():
    check(
        explicit_windows,
        "g (float[1,1,5,4] x) => (y) { y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x) }",
        """g (float[1,1,5,4] x) => (y) {
            y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], dilations = [1, 1], pads = [0, 0, 1, 0]> (x)
        }""",
    )


def test_an_average_pool_that_rounds_up_stays():
    text = """g (float[1,1,{},4] x) => (y) {{
        y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)
    }}"""
    unchanged(explicit_windows, text.format(5))
    model = check(
        explicit_windows,
        text.format(6),
        """g (float[1,1,6,4] x) => (y) {
            y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], dilations = [1, 1], pads = [0, 0, 0, 0],
                count_include_pad = 0> (x)
        }""",
    )
    assert attribute(model.graph[0], "ceil_mode") is None


def test_weights_that_are_computed_stay():
    unchanged(explicit_windows, "g (float[1,1,4] x, float[1,1,2] w) => (y) { y = Conv (x, w) }")
