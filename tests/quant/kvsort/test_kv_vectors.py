# mypy: disable-error-code="misc, union-attr, arg-type"
"""The queries and keys that sorting is chosen by: drawn with the right moments, or a bounded sample of what is seen."""

import numpy as np
import pytest

from edgegate.errors import CompileError
from edgegate.quant.kvsort import (
    Heads,
    SeenVectors,
    attention_sites,
    drawn,
    heads_of,
    logit_energies,
    logit_errors,
    projections,
)
from edgegate.quant.kvsort.vectors import MOST
from edgegate.quant.sample import Sample
from tests.quant.folds import blocks
from tests.quant.folds.nets64 import net
from tests.quant.kvsort.test_kv_sites import only, opset_23


def test_drawn_vectors_have_the_moments_of_their_layers():
    site = only(net(blocks.Attention, (2, 5, 16), style="none"))
    rng = np.random.default_rng(0)
    deviation, mean = np.exp(rng.standard_normal(16)), rng.standard_normal(16)
    weights = projections(site)
    for moments in (deviation**2, np.diag(deviation**2)):
        q, k = drawn(site, moments, mean=mean, count=20000)
        for found, made, bias in ((q, weights.q, weights.q_bias), (k, weights.k, weights.k_bias)):
            wanted = (deviation**2) @ made**2 + (mean @ made + bias) ** 2
            np.testing.assert_allclose((found**2).mean(0).ravel(), wanted, rtol=0.08)
    mixed = rng.standard_normal((16, 16))
    q, _ = drawn(site, mixed.T @ mixed, count=20000)
    wanted = ((mixed @ weights.q) ** 2).sum(0) + weights.q_bias**2
    np.testing.assert_allclose((q**2).mean(0).ravel(), wanted, rtol=0.08)


def test_copies_of_keys_are_left_out():
    site = only(net(blocks.Attention, (2, 5, 16)))  # four heads read two heads of keys, repeated for them
    keys = np.random.default_rng(0).standard_normal((2, 2, 5, 8))
    found = heads_of(site, 1, keys.repeat(2, axis=1).swapaxes(-1, -2))
    np.testing.assert_array_equal(found, keys.swapaxes(1, 2).reshape(10, 2, 8))
    site = only(opset_23(True, rotated=False))
    flat = np.arange(2 * 5 * 8.0).reshape(2, 5, 8)
    np.testing.assert_array_equal(heads_of(site, 1, flat), flat.reshape(10, 2, 4))


def seen(site, batches):
    vectors, rng = SeenVectors(site, seed=1), np.random.default_rng(0)
    names = [str(v.name) for v in site.node.inputs[:2]]
    for _ in range(batches):
        vectors.add({names[0]: rng.standard_normal((2, 4, 5, 8))})  # a synthetic run may bring one after the other
        vectors.add({names[1]: rng.standard_normal((2, 4, 8, 5)), "other": np.ones(3)})
    return vectors.vectors()


def test_a_bounded_sample_of_what_streams_by():
    site = only(net(blocks.Attention, (2, 5, 16)))
    fit, held_out = seen(site, 200)
    assert [part.shape for part in (*fit, *held_out)] == [(MOST, 4, 8), (MOST, 2, 8)] * 2
    assert not {row.tobytes() for row in fit[0]} & {row.tobytes() for row in held_out[0]}
    few, others = seen(site, 1)
    assert len(few[0]) + len(others[0]) == len(few[1]) + len(others[1]) == 10
    for first, second in zip((*fit, *held_out), (part for half in seen(site, 200) for part in half), strict=True):
        np.testing.assert_array_equal(first, second)


def test_one_vector_is_enough():
    site = only(net(blocks.Attention, (1, 1, 16), style="none"))
    names = [str(v.name) for v in site.node.inputs]
    for seed in range(8):
        vectors = SeenVectors(site, seed)
        vectors.add({names[0]: np.ones((1, 4, 1, 8)), names[1]: np.ones((1, 4, 8, 1))})
        fit, held_out = vectors.vectors()
        assert all(len(part) == 1 for part in (*fit, *held_out))


def test_values_that_are_not_finite_are_named():
    site = only(net(blocks.Attention, (2, 5, 16)))
    name = str(site.node.inputs[0].name)
    with pytest.raises(CompileError, match=f"NaN or infinity in {name}"):
        SeenVectors(site).add({name: np.full((2, 4, 5, 8), np.inf)})
    assert not attention_sites(net(blocks.Attention, (2, 5, 16)))[1]


def test_a_sample_is_uniform():
    counts = np.zeros(40)
    for seed in range(300):
        sample = Sample(10, (1,), np.random.default_rng(seed))
        for start in range(0, 40, 8):
            sample.add(np.arange(start, start + 8.0)[:, None])
        assert sample.rows.shape == (10, 1) and (np.diff(sample.rows[:, 0]) > 0).all()
        counts[sample.rows[:, 0].astype(int)] += 1
    assert counts.min() > 40 and counts.max() < 115


def test_energies_are_those_of_every_query_with_every_key():
    layout, rng = Heads(heads=4, kv_heads=2, size=6), np.random.default_rng(0)
    q, k = rng.standard_normal((7, 4, 6)), rng.standard_normal((5, 2, 6))
    wanted = [np.mean((q[:, 2 * g : 2 * g + 2].reshape(-1, 6) @ k[:, g].T) ** 2) for g in range(2)]
    np.testing.assert_allclose(logit_energies((q, k), layout), wanted)
    assert (logit_errors((q, k), layout, None, None) == 0).all()
