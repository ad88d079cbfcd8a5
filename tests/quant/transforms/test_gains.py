"""The factor of a block: it changes nothing exactly, and saves loss where scales are powers of two."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.quant.formats import format_named
from edgegate.quant.moments import MomentsSum, weight_moments
from edgegate.quant.transforms import build, fixed, hadamard, rounded, scaled, tuned
from edgegate.quant.transforms.gains import STEPS
from tests.bench_quant_layers import moments, relative, sample, stored


def layer(factor=1.0, channels=64, block=32):
    generator = np.random.default_rng(4)
    x = generator.standard_normal((600, channels)) * factor
    w = generator.standard_normal((channels, 40))
    sums = MomentsSum(channels, block)
    sums.add(x)
    return x, w, sums.result(), weight_moments([w], block)


def loss(x, w, transform, form):
    weights = stored(form, np.ascontiguousarray(transform.apply_w(w).T)).T
    return relative(x, w, stored(form, transform.apply_x(x)) @ weights)


@pytest.mark.parametrize("kind", ["wush", "wush_diag"])
@pytest.mark.parametrize("channels", [64, 50])
def test_the_layer_is_the_same(kind, channels):
    x, w, m_x, m_w = layer(channels=channels)
    exact = build(kind, m_x, m_w)
    found = tuned(exact, m_x, [w[:, :10], w[:, 10:]], format_named("bfp12"))
    np.testing.assert_allclose(found.apply_x(x) @ found.apply_w(w), x @ w, rtol=1e-9, atol=1e-9)
    factors = np.abs(found.matrices[:, 0, 0] / exact.matrices[:, 0, 0])
    np.testing.assert_allclose(found.matrices, exact.matrices * factors[:, None, None], rtol=1e-12)
    assert (np.abs(np.log2(factors) * STEPS - np.rint(np.log2(factors) * STEPS)) < 1e-9).all()
    assert ((factors >= 1 - 1e-12) & (factors < 2)).all()
    if found.diagonal is not None:
        np.testing.assert_array_equal(found.matrices, hadamard(32) * found.diagonal[:, None, :])


@pytest.mark.parametrize("kind", ["gaussian", "llm", "swiglu"])
@pytest.mark.parametrize(("form", "most"), [("bfp12", 0.97), ("bfp11", 0.97), ("mxfp4", 1.02)])
def test_less_is_lost_on_held_out_data(kind, form, most):
    found, data, (m_x, m_w) = format_named(form), sample(kind, 0), moments(kind, 0, 32)
    exact = build("wush", m_x, m_w)
    better = tuned(exact, m_x, [data.weights], found)
    before, after = (loss(data.held_out, data.weights, t, found) for t in (exact, better))
    assert after < most * before


def test_the_best_factor_follows_the_input():
    """An input larger by 2^(3/8) takes a factor smaller by it, or twice that: the rounded values are the same."""
    form = format_named("bfp12")
    _, w, m_x, m_w = layer()
    exact = build("wush", m_x, m_w)
    first = tuned(exact, m_x, [w], form)
    other = tuned(scaled(exact, np.full(2, 2 ** (3 / STEPS))), m_x, [w], form)
    ratio = np.log2(other.matrices[:, 0, 0] / first.matrices[:, 0, 0])
    np.testing.assert_allclose(ratio, np.rint(ratio), atol=1e-9)


def test_the_unit_is_what_integers_are_counted_in():
    """Integers of step u are quantized as x / u: as the input of another scale would be."""
    form = format_named("bfp12")
    x, w, m_x, m_w = layer()
    exact = build("wush", m_x, m_w)
    assert (tuned(exact, m_x, [w], form, unit=2.0**-7).matrices == tuned(exact, m_x, [w], form).matrices).all()
    unit = 2.0 ** (3 / STEPS)

    def lost(transform):
        inputs = stored(form, transform.apply_x(x) / unit) * unit
        return relative(x, w, inputs @ stored(form, np.ascontiguousarray(transform.apply_w(w).T)).T)

    found, plain = (tuned(exact, m_x, [w], form, unit=u) for u in (unit, 1.0))
    assert (found.matrices != plain.matrices).any()
    other = tuned(exact, m_x, [w], form, unit=1 / unit)
    assert lost(other) >= lost(found)
    assert lost(found) <= lost(plain)


def test_nothing_to_choose():
    _, w, m_x, m_w = layer()
    form = format_named("bfp12")
    for kind in ("identity", "hadamard"):
        assert tuned(fixed(kind, 64, 32), m_x, [w], form).kind == kind
    exact = build("wush", m_x, m_w)
    assert tuned(exact, m_x, [w], format_named("int4_g32")) is exact
    whole = rounded(exact, 6)
    assert whole is not None and tuned(whole, m_x, [w], form) is whole
    assert tuned(exact, m_x, [w], format_named("int4_g32"), x_form=form) is not exact


def test_dead_channels():
    _, w, m_x, m_w = layer(factor=np.r_[np.zeros(40), np.ones(24)])
    for kind in ("wush", "wush_diag"):
        found = tuned(build(kind, m_x, m_w), m_x, [0 * w], format_named("bfp12"))
        assert np.isfinite(found.matrices).all()


def test_faults_are_named():
    _, w, m_x, m_w = layer()
    exact, form = build("wush", m_x, m_w), format_named("bfp12")
    for weights, given, unit, message in (
        ([w[:10]], form, 1.0, "do not fit 64 channels"),
        ([w], format_named("bfp12_b64"), 1.0, "no multiple of bfp12_b64's 64"),
        ([], form, 1.0, "there must be one"),
        ([w], form, 0.0, "unit positive"),
    ):
        with pytest.raises(ValueError, match=message):
            tuned(exact, m_x, weights, given, unit=unit)
