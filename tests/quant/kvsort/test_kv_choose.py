# mypy: disable-error-code="call-arg, arg-type"
"""Section 2 of the report on K-sort, measured again: one head of 128, four loud pairs of keys, BFP12 by BFP16."""

import numpy as np
import pytest

from edgegate.quant.formats import format_named
from edgegate.quant.kvsort import Heads, choose, interleaved, logit_errors, pair_scale, rotated, sorted_order, spread

HALF = Heads(heads=1, kv_heads=1, size=128, rotary="half")
BESIDE = Heads(heads=1, kv_heads=1, size=128, rotary="interleaved")


def drawn(power, seed, count=384, layout=HALF):
    """Rotated queries and keys; the deviation of a query's pair is the key's to this power."""
    pattern = np.random.default_rng(5)
    deviation = np.exp(0.3 * pattern.standard_normal(64))
    deviation[pattern.choice(64, 4, replace=False)] *= 16
    rng = np.random.default_rng(seed)
    theta = 10000.0 ** (-np.arange(64) / 64)
    found = []
    for exponent, heads in ((power, layout.heads), (1, layout.kv_heads)):
        spreads = np.empty(128)
        spreads[layout.pairs] = deviation[:, None] ** exponent
        angle = np.empty((count, 1, 128))
        angle[..., layout.pairs] = (rng.integers(0, 2048, count)[:, None] * theta)[:, None, :, None]
        x = rng.standard_normal((count, heads, 128)) * spreads
        found.append(rotated(x, np.cos(angle), np.sin(angle), layout))
    return found[0], found[1]


def ratio(power, block, kind):
    """The error of held-out logits over that of the unsorted half layout."""
    formats = format_named(f"bfp16_b{block}"), format_named(f"bfp12_b{block}")
    q, k = drawn(power, 1)
    base = logit_errors((q, k), HALF, *formats)[0]
    moments = [(part**2).mean(0) for part in drawn(power, 2)]
    scale = pair_scale(*moments, HALF) if "scale" in kind else np.ones((1, 128))
    order = sorted_order(moments[1] * scale**2, HALF)[0]
    if "interleaved" in kind:
        order = order[interleaved(HALF)]
    q, k = (q / scale)[..., order], (k * scale)[..., order]
    return logit_errors((q, k), HALF, *formats)[0] / base


@pytest.mark.parametrize("power", [0, -0.5, -1])
def test_sorting_alone_gives_nothing_where_a_block_is_the_head(power):
    assert ratio(power, 128, "half") == 1
    assert ratio(power, 128, "interleaved") == 1
    assert ratio(power, 64, "half") == 1  # a block is one half: the same pairs in it


def test_sorting_helps_where_loud_keys_meet_quiet_queries():
    assert ratio(-1, 32, "half") < 0.9
    assert ratio(-1, 32, "interleaved") < ratio(-1, 32, "half")
    assert ratio(-1, 64, "interleaved") < 0.8
    assert ratio(0, 32, "half") > 0.9  # and far less where they do not
    assert ratio(0, 32, "interleaved") > 2 * ratio(-1, 32, "interleaved")


@pytest.mark.parametrize("block", [32, 64, 128])
@pytest.mark.parametrize(("power", "most"), [(0, 0.6), (-0.5, 0.3), (-1, 0.15)])
def test_the_scale_with_sorting_beats_both(power, most, block):
    both = ratio(power, block, "scale interleaved")
    assert both < most
    assert both < 0.9 * ratio(power, block, "interleaved")


@pytest.mark.parametrize("block", [32, 128])
def test_what_is_chosen_lowers_the_error_of_other_vectors(block):
    formats = format_named(f"bfp16_b{block}"), format_named(f"bfp12_b{block}")
    chosen = choose(drawn(-0.5, 2), drawn(-0.5, 3), HALF, *formats)
    assert "scale" in chosen.kinds[0] and chosen.ratios[0] < 0.3
    q, k = drawn(-0.5, 4)
    changed = q[..., chosen.order[0]] / chosen.scale, k[..., chosen.order[0]] * chosen.scale
    np.testing.assert_allclose(q @ k[0, 0], changed[0] @ changed[1][0, 0], rtol=1e-9)
    assert logit_errors(changed, HALF, *formats) < 0.4 * logit_errors((q, k), HALF, *formats)


def test_nothing_is_chosen_where_nothing_helps():
    layout = Heads(heads=2, kv_heads=2, size=32, rotary="half")
    rng = np.random.default_rng(0)
    sets = [(rng.standard_normal((200, 2, 32)), rng.standard_normal((200, 2, 32))) for _ in range(2)]
    chosen = choose(*sets, layout, format_named("bfp16"), format_named("bfp12"))
    assert chosen.is_nothing and chosen.kinds == ("none", "none") and chosen.ratios == (1, 1)
    zeros = np.zeros((4, 2, 32)), np.zeros((4, 2, 32))
    assert choose(zeros, zeros, layout, format_named("bfp16"), format_named("bfp12")).is_nothing


def test_each_group_is_judged_alone():
    layout = Heads(heads=4, kv_heads=2, size=32)
    loud = np.ones((2, 1, 32))
    loud[1, 0, ::8] = 20

    def some(seed):
        rng = np.random.default_rng(seed)
        q = rng.standard_normal((200, 4, 32)) / np.repeat(loud[:, 0], 2, 0)
        return q, rng.standard_normal((200, 2, 32)) * loud[:, 0]

    chosen = choose(some(1), some(2), layout, format_named("bfp16"), format_named("bfp12"))
    assert chosen.kinds[0] == "none" and "scale" in chosen.kinds[1]
    assert (chosen.scale[0] == 1).all() and chosen.ratios[1] < 0.3


def test_vectors_that_do_not_fit():
    formats = format_named("bfp16"), format_named("bfp12")
    good = drawn(0, 1, 8)
    for bad in [(good[0][..., :64], good[1]), (good[0], good[1][:0]), (good[0] * np.nan, good[1])]:
        with pytest.raises(ValueError, match="must be finite"):
            choose(bad, good, HALF, *formats)


def mixed_error(loud, order, name="bfp12"):
    """The error of a layer whose inputs were permuted, then mixed by a Hadamard matrix, over that without order."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((512, 256)) * loud, rng.standard_normal((256, 64))
    hadamard = np.ones((1, 1))
    while len(hadamard) < 32:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    errors = []
    for places in (order, np.arange(256)):
        turned = [(hadamard / 32**0.5) @ part.reshape(-1, 8, 32, 1) for part in (x[:, places], w[places].T)]
        a, b = (format_named(name).quantize(part.reshape(-1, 256)).values() for part in turned)
        errors.append(((a @ b.T - x @ w) ** 2).mean())
    return errors[0] / errors[1]


def test_with_a_rotation_sorting_harms_and_spreading_does_not():
    loud = np.exp(0.5 * np.random.default_rng(0).standard_normal(256))
    scattered, together = loud.copy(), loud.copy()
    scattered[np.random.default_rng(1).choice(256, 8, replace=False)] *= 12
    together[:40] *= 12
    assert mixed_error(scattered, np.argsort(-scattered)) > 1.05
    assert mixed_error(together, np.argsort(-together)) > 1
    assert mixed_error(scattered, spread(scattered**2, 32)) < 1.05
    assert mixed_error(together, spread(together**2, 32)) < 0.95
