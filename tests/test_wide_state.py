"""States of 24 bits in int32: what enters as such stays exact, over many steps, on every engine."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, passes, stages
from edgegate._edges import entry
from edgegate.manifest import IOSpec
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage
from edgegate.storage import Storage as Edge
from tests.families.bench import session
from tests.passes.text import parse

STATE = Storage(dtype="int32", scale=2.0**-18)
NARROW, GATE = (Storage(dtype="int16", scale=2.0**-bits) for bits in (13, 15))
LIMIT = (1 << 23) - 1


def step() -> ir.Model:
    """h = a h + x, and y = relu(h), which reads 16 bits of it."""
    model = parse(
        "g (float[1,8] x, float[1,8] a, float[1,8] h) => (y, n) { d = Mul (a, h) n = Add (d, x) y = Relu (n) }"
    )
    passes.run(model, passes.FLOAT, stages.floating)
    values = {"x": NARROW, "a": GATE, "h": STATE, "d": STATE, "n": STATE, "y": NARROW}
    to_integer(Scheme(values=values))(model)
    passes.run(model, passes.INTEGER, stages.integer)
    return model


def test_every_engine_steps_alike_and_the_float_edge_loses_nothing():
    model = step()
    engine, rng = session(model), np.random.default_rng(0)
    state = exact = np.zeros((1, 8), np.float32)
    for _ in range(64):
        feed = {"x": rng.normal(0, 1, (1, 8)).astype(np.float32), "a": rng.uniform(0.9, 1, (1, 8)).astype(np.float32)}
        got = interpreter.run(model, {**feed, "h": state})
        y, n = engine.run(["y", "n"], {**feed, "h": state})
        np.testing.assert_array_equal(y, got["y"])
        np.testing.assert_array_equal(n, got["n"])
        state = got["n"]
        a, x = (s.scale * np.clip(np.rint(feed[k] / s.scale), s.low, s.high) for k, s in (("a", GATE), ("x", NARROW)))
        exact = a * exact + x
        np.testing.assert_allclose(state, exact, atol=64 * STATE.scale)
    stored = np.rint(state / STATE.scale)
    np.testing.assert_array_equal(np.float32(stored * STATE.scale), state)


@pytest.mark.parametrize("raw", [-(1 << 31), (1 << 31) - 1, LIMIT + 1, -LIMIT - 1, 5])
def test_whatever_int32_comes_in_is_cut_to_24_bits(raw: int):
    model = step()
    feed = {"x": np.zeros((1, 8), np.float32), "a": np.ones((1, 8), np.float32)}
    values = interpreter.run(model, {**feed, "h.stored": np.full((1, 8), raw, np.int32)}, keep=True)
    kept = max(-LIMIT, min(raw, LIMIT))
    assert (np.rint(values["n"] / STATE.scale) == kept * 32767 + (1 << 14) >> 15).all()


def test_an_int32_storage_has_a_power_of_two_for_a_scale():
    with pytest.raises(ValueError, match="power of two"):
        Storage(dtype="int32", scale=0.3)
    with pytest.raises(ValueError, match="zero point"):
        Storage(dtype="int32", scale=0.5, zero_point=1)


def test_a_float_state_is_rounded_half_to_even_and_saturates():
    model = step()
    steps = np.array([[0.5, 1.5, -0.5, -2.5, 0.75, -0.75, 3e38 * STATE.scale, -3e38 * STATE.scale]], np.float32)
    real = steps * np.float32(STATE.scale)
    right = np.array([[0, 2, 0, -2, 1, -1, LIMIT, -LIMIT]], np.int32)
    feed = {"x": np.zeros((1, 8), np.float32), "a": np.ones((1, 8), np.float32), "h": real}
    values = interpreter.run(model, feed, keep=True)
    np.testing.assert_array_equal(values["h.stored"], right)
    np.testing.assert_array_equal(session(model).run(["n"], feed)[0], values["n"])
    spec = IOSpec(name="h", shape=(1, 8), dtype="float32", storage=Edge(dtype="int32", scale=STATE.scale))
    stored, quantizer = np.empty((1, 8), np.int32), entry(spec)
    assert quantizer is not None
    quantizer(real, stored)
    np.testing.assert_array_equal(stored, right)
