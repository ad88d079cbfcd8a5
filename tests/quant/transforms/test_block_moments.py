"""Moments of blocks: streamed, of a norm's gains, of the weights that share an input; ragged; hostile values."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from edgegate.quant import moments as module
from edgegate.quant.moments import Moments, MomentsSum, blocked, gamma_moments, identity_moments, weight_moments


def plain(rows, block):
    """The definition: zeros appended, the mean of the products, the blocks on the diagonal."""
    count = -(-rows.shape[1] // block)
    whole = np.zeros((len(rows), count * block))
    whole[:, : rows.shape[1]] = rows
    full = whole.T @ whole / len(rows)
    return np.stack([full[i * block : (i + 1) * block, i * block : (i + 1) * block] for i in range(count)])


@pytest.mark.parametrize(("channels", "block"), [(8, 4), (10, 4), (3, 4), (7, 1), (32, 32)])
def test_streamed_moments_are_those_of_all_vectors(channels, block, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 5 * channels)
    rows = np.random.default_rng(0).standard_normal((36, channels)) + 0.3
    sums = MomentsSum(channels, block)
    sums.add(rows[:12].reshape(3, 4, channels))
    sums.add(rows[12:13])
    sums.add(rows[13:].astype(np.float64))
    found = sums.result()
    np.testing.assert_allclose(found.blocks, plain(rows, block), rtol=1e-12, atol=1e-14)
    assert (found.count, found.source, found.channels, found.block) == (36, "calibration", channels, block)
    assert (found.blocks == found.blocks.transpose(0, 2, 1)).all()


def test_large_integers_do_not_wrap():
    sums = MomentsSum(2, 2)
    sums.add(np.array([[100, -100]], np.int8))
    assert sums.result().blocks.tolist() == [[[10000, -10000], [-10000, 10000]]]


def test_the_moments_are_not_centred():
    sums = MomentsSum(2, 2, "synthetic")
    sums.add(np.full((5, 2), 3.0))
    assert sums.result().blocks.tolist() == [[[9, 9], [9, 9]]] and sums.result().source == "synthetic"


def test_gamma():
    gamma, beta = np.array([1.0, -2.0, 3.0]), np.array([0.0, 1.0, -1.0])
    found = gamma_moments(gamma, beta, 2)
    assert found.blocks.tolist() == [[[1, 0], [0, 5]], [[10, 0], [0, 0]]]
    assert (found.count, found.source, found.channels) == (0, "gamma", 3)
    assert gamma_moments(gamma, None, 2).diagonal.tolist() == [[1, 4], [9, 0]]
    assert identity_moments(3, 2).diagonal.tolist() == [[1, 1], [1, 0]]
    assert identity_moments(3, 2).source == "identity"


def test_gamma_is_the_moment_after_a_layer_norm():
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((40_000, 8))
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True)
    gamma, beta = generator.uniform(0.5, 2, 8), generator.standard_normal(8)
    sums = MomentsSum(8, 8)
    sums.add(rows * gamma + beta)
    exact = gamma_moments(gamma, beta, 8)
    # The mean of h is taken away, so that its channels correlate by -1 / (K - 1).
    shared = (np.eye(8) - 1 / 8) * 8 / 7 * np.outer(gamma, gamma) + np.outer(beta, beta)
    np.testing.assert_allclose(sums.result().blocks[0], shared, atol=0.1)
    np.testing.assert_allclose(np.diag(shared), exact.diagonal[0], rtol=1e-12)


def test_weights_that_share_an_input(monkeypatch):
    generator = np.random.default_rng(2)
    a, b = generator.standard_normal((10, 6)), generator.standard_normal((10, 3)).astype(np.float32)
    expected = plain(np.concatenate([a, b], axis=1).T, 4)
    for chunk in (1, 50, 1 << 20):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        found = weight_moments([a, b], 4)
        np.testing.assert_allclose(found.blocks, expected, rtol=1e-12)
        assert (found.count, found.source, found.channels) == (9, "weights", 10)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_blocks_keep_the_dtype(dtype):
    found = blocked(np.ones((2, 3), dtype), 2)
    assert found.dtype == dtype and found.tolist() == [[[1, 1], [1, 0]]] * 2


BLOCKS, UNKNOWN = np.eye(2)[None], cast(Any, "guess")
HOSTILE = [
    (lambda: MomentsSum(4, 2).add(np.ones((2, 5))), "5 channels, where 4"),
    (lambda: MomentsSum(2, 2).add(np.array([[1, np.nan]])), "NaN or infinity"),
    (lambda: MomentsSum(2, 2).add(np.array([[1, np.inf]])), "NaN or infinity"),
    (lambda: MomentsSum(2, 2).result(), "no calibration vector"),
    (lambda: MomentsSum(0, 2), "must be positive"),
    (lambda: MomentsSum(2, 0), "must be positive"),
    (lambda: weight_moments([], 2), "not \\[K, N\\]"),
    (lambda: weight_moments([np.ones((4, 2)), np.ones((5, 2))], 2), "one K"),
    (lambda: weight_moments([np.ones((4, 0))], 2), "not \\[K, N\\]"),
    (lambda: weight_moments([np.full((4, 2), np.nan)], 2), "finite"),
    (lambda: gamma_moments(np.ones((2, 2)), None, 2), "vectors of one length"),
    (lambda: gamma_moments(np.ones(2), np.ones(3), 2), "vectors of one length"),
    (lambda: gamma_moments(np.array([1e200]), None, 1), "finite"),
    (lambda: Moments(blocks=BLOCKS, count=1, source="calibration", channels=3), "around 3 channels"),
    (lambda: Moments(blocks=BLOCKS, count=-1, source="calibration", channels=2), "-1 vectors"),
    (lambda: Moments(blocks=BLOCKS, count=1, source=UNKNOWN, channels=2), "guess"),
    (lambda: Moments(blocks=-BLOCKS, count=1, source="gamma", channels=2), "no negative"),
    (lambda: Moments(blocks=np.array([[[1.0, 2], [0, 1]]]), count=1, source="gamma", channels=2), "symmetric"),
]


@pytest.mark.parametrize(("call", "message"), HOSTILE)
def test_faults_are_named(call, message):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message):
        call()
