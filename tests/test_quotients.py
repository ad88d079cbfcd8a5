"""Quotients of two activations, from ONNX text to integers."""

from __future__ import annotations

import numpy as np

from edgegate import interpreter, passes, stages
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage
from tests.families.bench import session
from tests.passes.text import parse


def test_quotients_are_rounded_once_and_zero_by_zero_is_zero():
    model = parse("g (float[1,64] x, float[1,64] z) => (y) { a = Max (x, z) y = Div (x, a) }")
    passes.run(model, passes.FLOAT, stages.floating)
    wide, ratio = Storage(dtype="int16", scale=2.0**-10), Storage(dtype="int16", scale=2.0**-12)
    to_integer(Scheme(values={"x": wide, "z": wide, "a": wide, "y": ratio}))(model)
    passes.run(model, passes.INTEGER, stages.integer)
    rng = np.random.default_rng(0)
    x, z = (rng.integers(-300, 301, (1, 64)).astype(np.float32) / 1024 for _ in "xz")
    x[0, :3], z[0, :3] = (0, 3, -3), (0, 0, 0)
    feed = {"x": x, "z": z}
    (got,) = interpreter.run(model, feed).values()
    np.testing.assert_array_equal(session(model).run(None, feed)[0], got)
    with np.errstate(all="ignore"):
        want = np.clip(x.astype(np.float64) / np.maximum(x, z), ratio.low * ratio.scale, ratio.high * ratio.scale)
    sound = np.maximum(x, z) != 0
    assert np.abs(got - want)[sound].max() <= ratio.scale / 2
    assert got[0, 0] == 0 and got[0, 1] == 1
