# mypy: disable-error-code="call-arg, arg-type, union-attr"
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.kvsort import (
    Heads,
    Projections,
    interleaved,
    pair_scale,
    permuted,
    rescaled,
    rotated,
    sorted_order,
    spread,
)

LENGTH, INPUTS = 7, 10


def projections(layout, gains=None, seed=0):
    rng = np.random.default_rng(seed)
    widths = layout.heads * layout.size, layout.kv_heads * layout.size
    made = [rng.standard_normal(dims) for w in widths for dims in ((INPUTS, w), (w,))]
    q_gain, k_gain = (None, None) if gains is None else (rng.uniform(0.5, 2, layout.size) for _ in range(2))
    return Projections(q=made[0], q_bias=made[1], k=made[2], k_bias=made[3], q_gain=q_gain, k_gain=k_gain)


def tables(layout, seed=1):
    """cos and sin [LENGTH, size] of angles that differ for each pair."""
    angle = np.zeros((LENGTH, layout.size))
    angle[:, layout.pairs] = np.random.default_rng(seed).uniform(0, 7, (LENGTH, len(layout.pairs), 1))
    return np.cos(angle), np.sin(angle)


def vectors(made, layout, cos, sin):
    """q [LENGTH, heads, size] and k [LENGTH, kv_heads, size], normed and rotated."""
    x = np.random.default_rng(2).standard_normal((LENGTH, INPUTS))
    found = []
    for name in "qk":
        y = (x @ getattr(made, name) + getattr(made, f"{name}_bias")).reshape(LENGTH, -1, layout.size)
        gain = getattr(made, f"{name}_gain")
        if gain is not None:
            y = y / np.sqrt((y**2).mean(-1, keepdims=True)) * gain
        by_head = (
            cos[:, None] if cos.ndim == 2 else np.moveaxis(cos, 0, 1),
            sin[:, None] if sin.ndim == 2 else (np.moveaxis(sin, 0, 1)),
        )
        share = 1 if cos.ndim == 2 or name == "k" else layout.heads // layout.kv_heads
        found.append(rotated(y, *(np.repeat(t, share, 1) for t in by_head), layout))
    return found


def logits(made, layout, cos, sin):
    q, k = vectors(made, layout, cos, sin)
    return np.einsum("ihc,jhc->hij", q, np.repeat(k, layout.heads // layout.kv_heads, 1))


def close(got, want):
    assert np.abs(got - want).max() <= 1e-12 * np.abs(want).max()


LAYOUTS = [
    Heads(heads=4, kv_heads=2, size=8, rotary="half"),
    Heads(heads=3, kv_heads=1, size=6, rotary="interleaved"),
    Heads(heads=2, kv_heads=2, size=5),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gains", [None, "gains"])
def test_pair_scales_keep_the_logits_and_level_the_moments(layout, gains):
    made, (cos, sin) = projections(layout, gains), tables(layout)
    want = logits(made, layout, cos, sin)
    q, k = ((part**2).mean(0) for part in vectors(made, layout, cos, sin))
    scale = pair_scale(q, k, layout)
    after = rescaled(made, layout, scale)
    close(logits(after, layout, cos, sin), want)
    q, k = ((part**2).mean(0) for part in vectors(after, layout, cos, sin))
    level = layout.of_group(q).mean(1)[:, layout.pairs].sum(-1)
    np.testing.assert_allclose(level, k[:, layout.pairs].sum(-1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gains", [None, "gains"])
def test_sorting_keeps_the_logits(layout, gains):
    made, (cos, sin) = projections(layout, gains), tables(layout)
    want = logits(made, layout, cos, sin)
    order = sorted_order((vectors(made, layout, cos, sin)[1] ** 2).mean(0), layout)
    after = permuted(made, layout, order)
    moved = cos[:, order].swapaxes(0, 1), sin[:, order].swapaxes(0, 1)
    close(logits(after, layout, *moved), want)
    loud = (vectors(after, layout, *moved)[1] ** 2).mean(0)[:, layout.pairs].sum(-1)
    assert (np.diff(loud) <= 1e-9).all()


def test_half_heads_become_interleaved():
    layout = LAYOUTS[0]
    made, (cos, sin) = projections(layout, "gains"), tables(layout)
    order = interleaved(layout)
    assert order.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    beside = replace(layout, rotary="interleaved")
    after = permuted(made, layout, np.broadcast_to(order, (2, 8)))
    assert after.q_gain.shape == (8,)
    close(logits(after, beside, cos[:, order], sin[:, order]), logits(made, layout, cos, sin))


def test_pairs_of_equals_and_of_nothing():
    layout = Heads(heads=1, kv_heads=1, size=8, rotary="half")
    assert sorted_order(np.ones((1, 8)), layout).tolist() == [list(range(8))]
    energy = np.array([[1.0, 0, 9, 0, 1, 0, 0, 5]])
    assert sorted_order(energy, layout).tolist() == [[2, 3, 0, 1, 6, 7, 4, 5]]
    moments = np.array([[4.0, 0, 1, 1, 4, 0, 1, 0]])
    scale = pair_scale(np.full((1, 8), 4.0), moments, layout)
    assert scale.tolist() == [[1, 1, 4**0.25, 8**0.25, 1, 1, 4**0.25, 8**0.25]]
    assert (pair_scale(np.zeros((1, 8)), moments, layout) == 1).all()


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_spread_is_a_permutation_that_levels(count, block, seed):
    energy = np.random.default_rng(seed).exponential(size=count * block) ** 3
    order = spread(energy, block)
    assert np.array_equal(np.sort(order), np.arange(count * block))
    assert energy[order].reshape(count, block).max(1).min() >= np.sort(energy)[-count]  # the loudest apart


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"heads": 3}, "cannot share"),
        ({"kv_heads": 0}, "cannot share"),
        ({"rotary": "other"}, "rotary must be"),
        ({"size": 7}, "even size"),
    ],
)
def test_layouts_that_are_none(change, says):
    with pytest.raises(ValueError, match=says):
        replace(LAYOUTS[0], **change)


def test_scales_and_orders_that_are_none():
    layout, made = LAYOUTS[0], projections(LAYOUTS[0])
    for scale in (np.ones((4, 8)), -np.ones((2, 8)), np.arange(1.0, 17).reshape(2, 8), np.full((2, 8), np.nan)):
        with pytest.raises(ValueError, match="each pair"):
            rescaled(made, layout, scale)
    for order in (np.zeros((2, 8), int), np.arange(8)[None]):
        with pytest.raises(ValueError, match="permutation"):
            permuted(made, layout, order)
    with pytest.raises(ValueError, match="whole blocks"):
        spread(np.ones(5), 2)
