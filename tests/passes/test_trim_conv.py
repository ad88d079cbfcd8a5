import pytest

from edgegate.passes.trim_conv import trim_conv
from tests.passes.text import check, unchanged

WEIGHTS = "float[1,1,3] w = {1, 2, 3}, float[1] b = {0.5}"


def _cut(pads: str, start: int, end: int, stride: int = 1, step: int = 1, axis: int = 2) -> str:
    return f"""g (float[1,1,6] x) => (y) <{WEIGHTS}, int64[1] s = {{{start}}}, int64[1] e = {{{end}}},
        int64[1] a = {{{axis}}}, int64[1] t = {{{step}}}> {{
        c = Conv <pads = [{pads}], strides = [{stride}], dilations = [1], group = 1> (x, w, b)
        y = Slice (c, s, e, a, t)
    }}"""


@pytest.mark.parametrize(("start", "end", "pads"), [(0, 6, "2, 0"), (2, 8, "0, 2"), (1, 7, "1, 1"), (0, 7, "2, 1")])
def test_the_cut_comes_off_the_pads(start, end, pads):
    check(
        trim_conv,
        _cut("2, 2", start, end),
        f"""g (float[1,1,6] x) => (y) <{WEIGHTS}> {{
            y = Conv <pads = [{pads}], strides = [1], dilations = [1], group = 1> (x, w, b)
        }}""",
    )


def test_more_than_the_pads_a_stride_or_another_axis_stays():
    unchanged(trim_conv, _cut("1, 1", 0, 4))
    unchanged(trim_conv, _cut("2, 2", 0, 3, stride=2))
    unchanged(trim_conv, _cut("2, 2", 0, 6, step=2))
    unchanged(trim_conv, _cut("2, 2", 0, 1, axis=1))


def test_a_convolution_with_another_reader_stays():
    unchanged(trim_conv, _cut("2, 2", 0, 6).replace("=> (y)", "=> (y, c)"))
