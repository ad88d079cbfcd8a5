import pytest

from edgegate.passes.absorb_pad import absorb_pad
from tests.passes.text import check, unchanged

WEIGHTS = "float[1,1,3] w = {1, 2, 3}, float[1] b = {0.5}"


def test_zeros_go_into_every_convolution_that_reads_them():
    check(
        absorb_pad,
        f"""g (float[1,1,5] x) => (y, z) <{WEIGHTS}, int64[6] pads = {{0, 0, 2, 0, 0, 1}}> {{
            p = Pad (x, pads)
            y = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (p, w, b)
            z = Conv <pads = [1, 0], strides = [1], dilations = [1], group = 1> (p, w, b)
        }}""",
        f"""g (float[1,1,5] x) => (y, z) <{WEIGHTS}> {{
            y = Conv <pads = [2, 1], strides = [1], dilations = [1], group = 1> (x, w, b)
            z = Conv <pads = [3, 1], strides = [1], dilations = [1], group = 1> (x, w, b)
        }}""",
    )


def _padded(pads: str, mode: str = "constant", value: str = "0.0") -> str:
    return f"""g (float[1,1,5] x) => (y) <{WEIGHTS}, int64[6] pads = {{{pads}}}, float v = {{{value}}}> {{
        p = Pad <mode = "{mode}"> (x, pads, v)
        y = Conv <pads = [0, 0], strides = [1], dilations = [1], group = 1> (p, w, b)
    }}"""


def test_only_zeros_around_space():
    unchanged(absorb_pad, _padded("0, 0, 2, 0, 0, 0", value="1.0"))
    unchanged(absorb_pad, _padded("0, 0, 2, 0, 0, 0", mode="reflect"))
    unchanged(absorb_pad, _padded("0, 0, -1, 0, 0, 0"))
    unchanged(absorb_pad, _padded("1, 0, 0, 0, 0, 0"))


def _pooled(pads: str, value: str, least: str = "0, 0") -> str:
    return f"""g (float[1,1,5] x) => (y) <int64[6] pads = {{{pads}}}, float v = {{{value}}}> {{
        p = Pad (x, pads, v)
        y = MaxPool <kernel_shape = [3], pads = [{least}], strides = [1], dilations = [1]> (p)
    }}"""


@pytest.mark.parametrize("value", ["-inf", "-3.4028235e38"])
def test_the_least_of_all_goes_into_a_maximum(value):
    after = """g (float[1,1,5] x) => (y) {
        y = MaxPool <kernel_shape = [3], pads = [2, 1], strides = [1], dilations = [1]> (x)
    }"""
    check(absorb_pad, _pooled("0, 0, 1, 0, 0, 1", value, "1, 0"), after)


def test_a_maximum_takes_nothing_else_and_no_window_of_nothing():
    unchanged(absorb_pad, _pooled("0, 0, 1, 0, 0, 1", "0"))
    unchanged(absorb_pad, _pooled("0, 0, 2, 0, 0, 0", "-inf", "1, 0"))
    unchanged(absorb_pad, _padded("0, 0, 2, 0, 0, 0", value="-inf"))
