"""GPTQ with every kind of transform: equal to plain GPTQ written out, better than rounding, best with WUSH."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.quant.formats import format_named
from edgegate.quant.moments import MomentsSum, weight_moments
from edgegate.quant.transforms import KINDS, build
from edgegate.quant.transforms.gptq import gptq
from tests.bench_quant_layers import gptq_loss


def layer(channels=64, outputs=24, vectors=200):
    generator = np.random.default_rng(1)
    hidden = generator.standard_normal((2 * vectors, 8)) @ generator.standard_normal((8, channels))
    x = (hidden + 0.5 * generator.standard_normal(hidden.shape)) * np.exp(generator.standard_normal(channels))
    return x[:vectors], x[vectors:], generator.standard_normal((channels, outputs))


def hessian(x):
    sums = MomentsSum(x.shape[1], x.shape[1])
    sums.add(x)
    return sums.result().blocks[0]


def plain_gptq(weights, hess, form, damping=1e-2):
    """GPTQ as its paper has it: after every channel, the rest is solved anew from the inverse of what remains."""
    current, scales = weights.copy(), None
    hess = hess + damping * np.trace(hess) / len(hess) * np.eye(len(hess))
    for row in range(len(weights)):
        if row % form.block == 0:
            scales = form.quantize(np.ascontiguousarray(current[row : row + form.block].T)).scales[:, 0]
        stored = form.significands(current[row], scales) * scales
        inverse = np.linalg.inv(hess[row:, row:])
        current[row:] += np.outer(inverse[:, 0] / inverse[0, 0], stored - current[row])
    return current


@pytest.mark.parametrize("block", [None, 64])
@pytest.mark.parametrize("form", ["bfp12", "mxfp4", "int4_g32", "bfp16_quark"])
def test_identity_is_plain_gptq(form, block):
    """A transform of several groups takes the scale of each when its turn comes."""
    x, _, w = layer()
    done = gptq(w, hessian(x), format_named(form), kind="identity", block=block)
    np.testing.assert_allclose(done.values, plain_gptq(w, hessian(x), format_named(form)), rtol=1e-6, atol=1e-12)
    assert done.transform.kind == "identity"


@pytest.mark.parametrize("form", ["bfp12", "mxfp4", "nvfp4", "int4_g32", "bfp11", "mxint8"])
@pytest.mark.parametrize("kind", KINDS)
def test_less_is_lost_than_by_rounding(form, kind):
    x, held_out, w = layer()
    found = format_named(form)
    done = gptq(w, hessian(x), found, kind=kind, block=32)
    sums = MomentsSum(64, 32)
    sums.add(x)
    transform = build(kind, sums.result(), weight_moments([w], 32))
    rounding = found.quantize(np.ascontiguousarray(transform.apply_w(w).T)).values().T
    lost = [
        np.square(t.apply_x(held_out) @ v - held_out @ w).sum()
        for t, v in ((done.transform, done.values), (transform, rounding))
    ]
    assert lost[0] < 0.8 * lost[1]


def test_wush_beats_hadamard_on_data_like_a_language_models():
    for form in ("mxfp4", "bfp12"):
        assert gptq_loss("wush", 0, form, rtn=False) < 0.6 * gptq_loss("hadamard", 0, form, rtn=False)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_blocks_are_of_the_format(kind):
    x, _, w = layer(50)
    for form in ("bfp12", "nvfp4", "mxfp4"):
        found = format_named(form)
        done = gptq(w, hessian(x), found, kind=kind, block=32)
        assert done.blocks.shape == (24, 64) and done.values.shape == (64, 24)
        assert found.unpack(found.pack(done.blocks), (24, 64)) == done.blocks
        np.testing.assert_allclose(done.transform.apply_x(x) @ done.transform.apply_w(w), x @ w, atol=1e-9)


def test_a_wider_format_leaves_nothing_of_note():
    x, held_out, w = layer()
    done = gptq(w, hessian(x), format_named("bfp16"), kind="wush")
    lost = np.linalg.norm(done.transform.apply_x(held_out) @ done.values - held_out @ w)
    assert lost < 0.01 * np.linalg.norm(held_out @ w)


@pytest.mark.parametrize("bits", [6, "pow2"])
def test_integer_transforms(bits):
    x, _, w = layer()
    done = gptq(w, hessian(x), format_named("bfp12"), kind="wush", bits=bits)
    assert done.transform.integer and done.transform.bits == bits
    assert (done.transform.matrices == np.rint(done.transform.matrices)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_dead_channels_and_rank_deficiency(kind):
    x, _, w = layer()
    x, w = x[:3].copy(), w.copy()
    x[:, :40], w[::5] = 0, 0
    done = gptq(w, hessian(x), format_named("bfp12"), kind=kind)
    assert np.isfinite(done.values).all()
    nothing = gptq(0 * w, np.zeros((64, 64)), format_named("bfp12"), kind=kind)
    assert not nothing.values.any()


GOOD = np.eye(64)
HOSTILE = [
    ({"hessian": np.eye(32)}, "not \\[K, N\\] and \\[K, K\\]"),
    ({"weights": np.ones(64)}, "not \\[K, N\\]"),
    ({"weights": np.full((64, 2), np.inf)}, "finite"),
    ({"hessian": GOOD * np.nan}, "finite"),
    ({"hessian": -GOOD}, "negative"),
    ({"block": 48}, "no multiple of bfp12"),
    ({"block": 0}, "no multiple of bfp12"),
    ({"damping": 0.0}, "positive number"),
]


@pytest.mark.parametrize(("changed", "message"), HOSTILE)
def test_faults_are_named(changed, message):
    given = {"weights": np.ones((64, 2)), "hessian": GOOD, "form": format_named("bfp12")} | changed
    with pytest.raises(ValueError, match=message):
        gptq(**given)
