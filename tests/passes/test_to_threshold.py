import numpy as np
import pytest

from edgegate.passes.to_threshold import to_threshold
from tests.passes.text import check, unchanged

GATES = "int64[2,1] i = {0, 1}, uint8[2,2] t = {0, 1, 1, 0}"
RISING = "float[2,2] c = {1, 2, 3, 4}"


def below(value: float) -> str:
    return repr(float(np.nextafter(np.float32(value), np.float32(-np.inf), dtype=np.float32)))


def compared(op: str, sides: str = "x, c") -> str:
    return f"""g (float[3,2] x) => (y) <float c = {{0.5}}, {GATES}> {{
        m = {op} ({sides}) b = Cast <to = 1> (m) y = edgegate.Lut (b, i, t)
    }}"""


def threshold(limit: str, after: str = "") -> str:
    return f"""g (float[3,2] x) => (y) <float[1,1] c = {{{limit}}}, int64[2] d = {{3, 2}}, {GATES},
        int64[2,1] all = {{0, 1}}, uint8[2,2] no = {{1, 0, 1, 0}}> {{
        b_bits = edgegate.Threshold (x, c)
        {after or "b = Reshape <allowzero = 0> (b_bits, d)"}
        y = edgegate.Lut (b, i, t)
    }}"""


@pytest.mark.parametrize(("op", "limit"), [("Greater", "0.5"), ("GreaterOrEqual", below(0.5))])
def test_above(op, limit):
    mirrored = {"Greater": "Less", "GreaterOrEqual": "LessOrEqual"}[op]
    for text in (compared(op), compared(mirrored, "c, x")):
        check(to_threshold, text, threshold(limit))


@pytest.mark.parametrize(("op", "limit"), [("LessOrEqual", "0.5"), ("Less", below(0.5))])
def test_below_is_the_inverse(op, limit):
    inverse = "b_flat = Reshape <allowzero = 0> (b_bits, d) b = edgegate.Lut (b_flat, all, no)"
    check(to_threshold, compared(op), threshold(limit, inverse))


def test_a_thermometer():
    """The axis of the thresholds comes from the comparison itself."""
    check(
        to_threshold,
        f"""g (float[3,2] x) => (y) <{RISING}, int64[1] last = {{-1}}, int64[2] d = {{3, 4}}, {GATES}> {{
            e = Unsqueeze (x, last) m = Greater (e, c) b = Cast <to = 1> (m) f = Reshape (b, d)
            y = edgegate.Lut (f, i, t)
        }}""",
        f"""g (float[3,2] x) => (y) <{RISING}, int64[1] last = {{-1}}, int64[2] d = {{3, 4}}, {GATES}> {{
            b = edgegate.Threshold (x, c) f = Reshape (b, d) y = edgegate.Lut (f, i, t)
        }}""",
    )


def test_an_input_is_compared_before_it_is_flattened():
    check(
        to_threshold,
        f"""g (float[3,1,2] x) => (y) <{RISING}, int64[2] d = {{3, 2}}, int64[2] e = {{3, 4}}, {GATES}> {{
            f = Reshape (x, d) b = edgegate.Threshold (f, c) r = Reshape (b, e) y = edgegate.Lut (r, i, t)
        }}""",
        f"""g (float[3,1,2] x) => (y)
            <float[1,1,2,2] c = {{1, 2, 3, 4}}, int64[3] d = {{3, 2, 2}}, int64[2] e = {{3, 4}}, {GATES}> {{
            b_bits = edgegate.Threshold (x, c) b = Reshape <allowzero = 0> (b_bits, d) r = Reshape (b, e)
            y = edgegate.Lut (r, i, t)
        }}""",
    )


def test_what_no_gate_reads_stays():
    unchanged(to_threshold, "g (float[3,2] x) => (b) <float c = {0.5}> { m = Greater (x, c) b = Cast <to = 1> (m) }")


def test_thresholds_that_are_computed_stay():
    unchanged(to_threshold, compared("Equal"))
    unchanged(
        to_threshold,
        f"""g (float[3,2] x, float c) => (y) <{GATES}> {{
            m = Greater (x, c) b = Cast <to = 1> (m) y = edgegate.Lut (b, i, t)
        }}""",
    )
