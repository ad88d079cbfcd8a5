"""WUSH and its kin: the identities of the construction to 1e-12, whatever the moments."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.moments import Moments, MomentsSum, gamma_moments, identity_moments, weight_moments
from edgegate.quant.transforms import KINDS, Transform, build, closed_form, fixed, hadamard, rho
from edgegate.quant.transforms.closed_form import regular


def close(found, expected):
    """Within 1e-12 of the largest value of a block."""
    scale = np.abs(expected).max(axis=(-2, -1), keepdims=True)
    assert (np.abs(found - expected) <= 1e-12 * np.maximum(scale, 1e-300)).all()


def congruent(matrices, moments):
    return matrices @ moments @ matrices.transpose(0, 2, 1)


def drawn(case, channels=64, block=32):
    """Input and weights of a layer, [vectors, K] and [K, N]: each case is one that breaks a careless solver."""
    generator = np.random.default_rng(3)
    mix = generator.standard_normal((channels, channels))
    x = generator.standard_normal((500, channels)) @ mix
    w = generator.standard_normal((channels, 40)) * np.exp(generator.standard_normal((channels, 1)))
    if case == "dead":
        x[:, [0, 5, 40]] = 0
        w[[1, 5]] = 0
    elif case == "rank one":
        x, w = np.outer(generator.standard_normal(9), mix[0]), np.outer(mix[1], np.ones(3))
    elif case == "few":
        x, w = x[:2], w[:, :1]
    elif case == "zeros":
        x[:, :block], w[block:] = 0, 0
    elif case == "tiny":
        x, w = x * 1e-140, w * 1e-150
    elif case == "outliers":
        x[:, 7] *= 1e4
        w[9] *= 1e4
    return x, w


def both_moments(x, w, block):
    sums = MomentsSum(x.shape[1], block)
    sums.add(x)
    return sums.result(), weight_moments([w], block)


CASES = ("plain", "dead", "rank one", "few", "zeros", "tiny", "outliers")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [32, 12, 64, 1])
def test_identities(case, block):
    x, w = drawn(case)
    m_x, m_w = both_moments(x, w, block)
    found = build("wush", m_x, m_w)
    close(found.matrices @ found.weights_side.transpose(0, 2, 1), np.broadcast_to(np.eye(block), m_x.blocks.shape))
    both = congruent(found.matrices, regular(m_x, 1e-2)), congruent(found.weights_side, regular(m_w, 1e-2))
    close(both[0], both[1])
    mixer = hadamard(block) / np.sqrt(block)
    values = mixer.T @ both[0] @ mixer
    spread = np.diagonal(values, axis1=1, axis2=2)
    close(values, spread[:, :, None] * np.eye(block))  # H S H^T with a diagonal S
    assert (np.diff(spread, axis=1) <= 1e-12 * spread[:, :1]).all()  # the singular values, descending
    equal = np.diagonal(both[0], axis1=1, axis2=2)
    np.testing.assert_allclose(equal, np.broadcast_to(spread.mean(axis=1, keepdims=True), equal.shape), rtol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_the_metric_solves_the_riccati_equation(case):
    """G = T_X^T T_X is the geometric mean: G M_X G = M_W."""
    x, w = drawn(case)
    m_x, m_w = both_moments(x, w, 32)
    matrices = build("wush", m_x, m_w).matrices
    metric = matrices.transpose(0, 2, 1) @ matrices
    found, wanted = metric @ regular(m_x, 1e-2) @ metric, regular(m_w, 1e-2)
    assert (np.abs(found - wanted).max(axis=(1, 2)) <= 1e-11 * np.abs(wanted).max(axis=(1, 2))).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_is_the_same(kind, case):
    x, w = drawn(case)
    found = build(kind, *both_moments(x, w, 32))
    result, expected = found.apply_x(x) @ found.apply_w(w), x @ w
    assert np.isfinite(found.matrices).all() and np.isfinite(found.weights_side).all()
    norms = np.linalg.norm(found.apply_x(x), axis=1)[:, None] * np.linalg.norm(found.apply_w(w), axis=0)
    assert (np.abs(result - expected) <= 1e-12 * np.maximum(norms, 1e-300)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_way_is_the_matrices(kind):
    x, w = drawn("plain", 70)
    found = build(kind, *both_moments(x, w, 32))
    whole = np.zeros((len(x), 96))
    whole[:, :70] = x
    expected = np.einsum("nij,tnj->tni", found.matrices, whole.reshape(-1, 3, 32)).reshape(len(x), 96)
    np.testing.assert_allclose(found.apply_x(x), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    batched = found.apply_x(x.reshape(5, 100, 70).astype(np.float32))
    assert batched.shape == (5, 100, 96)
    assert found.apply_w(w).shape == (96, 40)
    np.testing.assert_allclose(found.apply_x(x) @ found.apply_w(w), x @ w, rtol=1e-9, atol=1e-9)


def test_the_conditioning_is_bounded_by_the_damping():
    for case in CASES:
        x, w = drawn(case)
        for damping in (1e-1, 1e-2, 1e-3):
            found = build("wush", *both_moments(x, w, 32), damping=damping)
            assert found.condition <= np.sqrt(1 + 32 / damping) * (1 + 1e-9)


def test_diagonal_moments_make_wush_the_diagonal_one():
    generator = np.random.default_rng(5)
    m_x = gamma_moments(generator.uniform(0.1, 5, 32), None, 16)
    m_w = gamma_moments(generator.uniform(0.1, 5, 32), None, 16)
    full, diagonal = build("wush", m_x, m_w), build("wush_diag", m_x, m_w)
    metrics = [t.matrices.transpose(0, 2, 1) @ t.matrices for t in (full, diagonal)]
    close(metrics[0], metrics[1])
    both = (
        congruent(diagonal.matrices, regular(m_x, 1e-2)),
        congruent(diagonal.weights_side, regular(m_w, 1e-2)),
    )
    close(both[0], both[1])
    assert diagonal.diagonal is not None and full.diagonal is None
    np.testing.assert_array_equal(diagonal.matrices, hadamard(16) * diagonal.diagonal[:, None, :])


def test_hadamard_is_integer_and_identity_does_nothing():
    found = fixed("hadamard", 40, 32)
    np.testing.assert_array_equal(found.matrices, np.broadcast_to(hadamard(32), (2, 32, 32)))
    np.testing.assert_array_equal(found.weights_side * 32, found.matrices)
    assert found.integer and found.dtype == np.int8 and abs(found.condition - 1) < 1e-12
    x = np.arange(40.0)
    assert fixed("identity", 40, 32).apply_x(x).tolist() == [*range(40), *[0.0] * 24]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 12, 20]), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_any_layer(seed, block, vectors, outputs):
    generator = np.random.default_rng(seed)
    channels = int(generator.integers(1, 3 * block + 1))
    x = generator.standard_normal((vectors, channels)) * 10.0 ** generator.integers(-6, 7, channels)
    w = generator.standard_normal((channels, outputs)) * 10.0 ** generator.integers(-6, 7, (channels, 1))
    m_x, m_w = both_moments(x, w, block)
    assert 1 / block - 1e-9 <= rho(m_x, m_w) <= 1 + 1e-9
    found = build("wush", m_x, m_w)
    close(found.matrices @ found.weights_side.transpose(0, 2, 1), np.broadcast_to(np.eye(block), m_x.blocks.shape))


def sampled(blocks, count, source="calibration"):
    return Moments(blocks=np.array([blocks], np.float64), count=count, source=cast(Any, source), channels=len(blocks))


def test_correlations_that_a_sample_does_not_support_are_taken_out():
    """Mean squared correlation 1/4 and 1 / n of it noise: by hand. Dead channels are no pairs."""
    blocks = [[4.0, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert closed_form._shrunk(sampled(blocks, 16)).tolist() == [[[4, 0.75, 0], [0.75, 1, 0], [0, 0, 0]]]
    assert closed_form._shrunk(sampled(blocks, 4)).tolist() == [[[4, 0, 0], [0, 1, 0], [0, 0, 0]]]
    assert closed_form._shrunk(sampled(blocks, 1, "synthetic")).tolist() == [[[4, 0, 0], [0, 1, 0], [0, 0, 0]]]
    for kept in (sampled(blocks, 4, "weights"), sampled(blocks, 0), sampled(blocks, 4, "gamma")):
        assert closed_form._shrunk(kept).tolist() == [blocks]
    assert closed_form._shrunk(sampled(np.zeros((2, 2)), 4)).tolist() == [[[0, 0], [0, 0]]]
    assert closed_form._shrunk(sampled([[3.0]], 1)).tolist() == [[[3]]]


def test_shrinking_brings_few_vectors_nearer_to_the_truth():
    generator = np.random.default_rng(8)
    mix = np.eye(32) + 0.05 * np.outer(np.ones(32), generator.standard_normal(32))
    for count in (8, 32, 128):
        sums = MomentsSum(32, 32)
        sums.add(generator.standard_normal((count, 32)) @ mix)
        found = sums.result()
        before, after = (np.linalg.norm(m - mix.T @ mix) for m in (found.blocks, closed_form._shrunk(found)))
        assert after < before


def test_one_vector_is_as_the_diagonal():
    x, w = drawn("plain")
    m_x, m_w = both_moments(x[:1], w, 32)
    assert rho(m_x, m_w) < 1
    np.testing.assert_allclose(
        build("wush", m_x, m_w).matrices,
        build("wush", gamma_moments(np.abs(x[0]), None, 32), m_w).matrices,
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip


def test_rho():
    """The formula on diagonal moments, by hand: S = sqrt(m_x m_w)."""
    m_x = gamma_moments(np.array([1.0, 3.0, 2.0, 2.0]), None, 2)
    assert rho(m_x, identity_moments(4, 2)) == pytest.approx((16 + 16) / 2 / (1 + 9 + 4 + 4))
    assert rho(identity_moments(4, 2), m_x) == pytest.approx(16 / 18)
    assert rho(identity_moments(4, 2), identity_moments(4, 2)) == pytest.approx(1)
    dead = gamma_moments(np.zeros(4), None, 2)
    assert rho(dead, m_x) == 1.0
    with pytest.raises(ValueError, match="differ in shape"):
        rho(m_x, identity_moments(4, 4))


ROUND = identity_moments(4, 4)
SINGULAR = Moments(blocks=np.ones((1, 4, 4)), count=1, source="weights", channels=4)
HOSTILE = [
    (lambda: build("wush", ROUND, identity_moments(4, 2)), "differ"),
    (lambda: build("wush", ROUND, identity_moments(3, 4)), "differ"),
    (lambda: build("wush", SINGULAR, ROUND, damping=0), "damping 0 leaves a block"),
    (lambda: build("wush_diag", gamma_moments(np.array([1.0, 0]), None, 2), identity_moments(2, 2), damping=0), "dead"),
    (lambda: build("wush", ROUND, ROUND, damping=-1), "0 or more"),
    (lambda: build("wush", ROUND, ROUND, damping=np.nan), "0 or more"),
    (lambda: build(cast(Any, "spin"), ROUND, ROUND), "choose identity, hadamard"),
    (lambda: build("wush", identity_moments(6, 6), identity_moments(6, 6)), "no Hadamard matrix of order 6"),
    (lambda: fixed("wush", 4, 4), "needs moments"),
    (lambda: fixed("identity", 4, 4).dtype, None),
    (lambda: build("wush", ROUND, ROUND).dtype, "round it first"),
    (lambda: Transform(kind="wush", matrices=np.eye(2)[None], weights_side=np.eye(2)[None], channels=3), "do not hold"),
    (lambda: Transform(kind="wush", matrices=np.eye(2), weights_side=np.eye(2), channels=2), "no transform"),
    (
        lambda: Transform(
            kind="wush", matrices=np.eye(2)[None], weights_side=np.eye(2)[None], channels=2, diagonal=np.ones(2)
        ),
        "does not fit",
    ),
    (
        lambda: Transform(kind="wush", matrices=np.eye(2)[None] * np.nan, weights_side=np.eye(2)[None], channels=2),
        "not finite",
    ),
    (
        lambda: Transform(kind="wush", matrices=np.eye(2)[None] / 2, weights_side=np.eye(2)[None], channels=2, bits=4),
        "said to be of integers",
    ),
]


@pytest.mark.parametrize(("call", "message"), HOSTILE)
def test_faults_are_named(call, message):
    if message is None:
        call()
        return
    with pytest.raises(ValueError, match=message):
        call()
