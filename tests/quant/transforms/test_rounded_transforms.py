"""Integer transforms: what they hold, the steps of their rows, and that the layer stays the same exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.moments import MomentsSum, weight_moments
from edgegate.quant.transforms import Transform, build, fixed, hadamard, rounded
from edgegate.quant.transforms.rounding import WORST_CONDITION, _integers


def layer(channels=64, seed=0):
    generator = np.random.default_rng(seed)
    scales = np.exp(generator.standard_normal(channels))
    x = generator.standard_normal((300, channels)) @ generator.standard_normal((channels, channels)) * scales
    return x, generator.standard_normal((channels, 50))


def wush(kind="wush", channels=64, seed=0):
    x, w = layer(channels, seed)
    sums = MomentsSum(channels, 32)
    sums.add(x)
    return build(kind, sums.result(), weight_moments([w], 32))


def of(rows, kind="wush"):
    """A transform of one block with these rows."""
    matrices = np.array([rows], np.float64)
    inverse = np.linalg.inv(matrices).transpose(0, 2, 1)
    return Transform(kind=kind, matrices=matrices, weights_side=inverse, channels=matrices.shape[1])


@pytest.mark.parametrize("kind", ["wush", "wush_diag"])
@pytest.mark.parametrize("bits", [8, 6, 4, "pow2"])
@pytest.mark.parametrize("channels", [64, 50])
def test_the_layer_is_the_same(kind, bits, channels):
    x, w = layer(channels)
    found = rounded(wush(kind, channels), bits)
    assert found is not None and found.integer and found.bits == bits
    assert (found.matrices == np.rint(found.matrices)).all()
    left, right = found.apply_x(x), found.apply_w(w)
    norms = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=0)
    assert (np.abs(left @ right - x @ w) <= 1e-12 * norms).all()
    assert np.linalg.norm(left @ right - x @ w) <= 1e-12 * np.linalg.norm(x @ w)
    assert found.condition <= WORST_CONDITION


@pytest.mark.parametrize("bits", [8, 7, 6, 5])
def test_rows_are_rounded_in_steps_of_powers_of_two(bits):
    exact = wush()
    found = rounded(exact, bits)
    assert found is not None
    high = 2 ** (bits - 1) - 1
    for block, wanted in zip(found.matrices, exact.matrices, strict=True):
        largest = np.abs(block).max(axis=1)
        factors = largest / np.abs(wanted).max(axis=1)
        for row, target, factor in zip(block, wanted, factors, strict=True):
            scale = 2.0 ** np.rint(np.log2(factor))
            step = 2.0 ** max(0, np.ceil(np.log2(np.abs(row).max() / high)))
            assert np.abs(row / step).max() <= high and (row / step == np.rint(row / step)).all()
            assert np.abs(row / scale - target).max() <= step / scale / 2 * (1 + 1e-12)
        scales = 2.0 ** np.rint(np.log2(factors))
        assert len(set(scales)) == 1, "one unit for the rows of a block"
    assert found.dtype == (np.int8 if np.abs(found.matrices).max() <= 127 else np.int16)


def test_by_hand():
    """Largest 5.5 in 4 bits (7): step 1; 0.5 and 1.5 tie to even; the second row's step is 4, so that 31 is 8 * 4."""
    found = rounded(of([[5.5, 0.5, 1.5, -2.5], [31, 1, -1, 6], [0, 1, 7, 0], [0.1, 0, 0, 3]]), 4)
    assert found is not None
    unit = found.matrices[0] / 2**1  # the last row's step is a half
    assert unit.tolist() == [[6, 0, 2, -2], [32, 0, 0, 8], [0, 1, 7, 0], [0, 0, 0, 3]]


def test_powers_of_two():
    found = rounded(of([[100, 23, -24, 25], [95, 11, 0.9, 12], [64, -64, 32, 1], [1.4, 3, 96, 47]]), "pow2")
    assert found is not None
    assert found.matrices[0].tolist() == [[128, 16, -32, 32], [64, 8, 1, 16], [64, -64, 32, 1], [2, 4, 128, 32]]
    whole = rounded(wush(), "pow2")
    assert whole is not None
    magnitudes = np.abs(whole.matrices)
    live = magnitudes[magnitudes > 0]
    assert (np.frexp(live)[0] == 0.5).all()


def test_rows_far_apart_still_fit_16_bits():
    exact = of([[1000.0, 999], [1e-3, -1.01e-3]])
    found = rounded(exact, 8)
    assert found is None or np.abs(found.matrices).max() < 2**15
    fair = rounded(of([[60.0, 50], [1, -1.5]]), 6)
    assert fair is not None and fair.dtype == np.int16 and np.abs(fair.matrices).max() < 2**15


@pytest.mark.parametrize(("bits", "largest"), [(6, 31 << 10), (8, 127 << 8), ("pow2", 64 << 8)])
def test_the_least_step_is_raised_until_the_greatest_fits(bits, largest):
    """Rows 2^-12 apart: the lower one has fewer bits left, and the upper one all of its own."""
    found = _integers(np.array([[[1.0, -1], [2.0**-12, 2.0**-12]]]), bits)
    top = {6: 16 << 10, 8: 64 << 8, "pow2": 64 << 8}[bits]
    assert found[0].tolist() == [[top, -top], [top / 4096, top / 4096]]
    wide = _integers(np.array([[[31 / 32, -1], [1e-9, 0]]]) * (127 / 128 if bits == 8 else 31 / 32), bits)
    assert np.abs(wide).max() <= largest and not wide[0, 1].any()


def test_a_singular_rounding_is_refused():
    assert rounded(of([[1, 1], [1, 1.001]]), 6) is None
    assert rounded(of([[1.0, 0], [1e-9, 1e-9]]), 6) is None
    assert rounded(of([[1, 0.99], [0.99, 1]]), 3) is None


def test_integers_are_returned_as_they_are():
    for kind in ("hadamard", "identity"):
        found = fixed(kind, 64, 32)
        assert rounded(found, 6) is found


def test_the_diagonal_stays_beside_a_hadamard():
    for bits in (6, "pow2"):
        found = rounded(wush("wush_diag"), bits)
        assert found is not None and found.diagonal is not None
        np.testing.assert_array_equal(found.matrices, hadamard(32) * found.diagonal[:, None, :])


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 4, 5, 6, 7, 8, "pow2"]), st.integers(-40, 40))
@settings(max_examples=80, deadline=None)
def test_any_matrix(seed, bits, exponent):
    """The unit never matters; the result fits 16 bits and its inverse is its own."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((4, 4)) * 2.0 ** generator.integers(-3, 4, (4, 1))
    if np.linalg.cond(rows) > 1e6:
        return
    found, other = rounded(of(rows), bits), rounded(of(rows * 2.0**exponent), bits)
    assert (found is None) == (other is None)
    if found is None or other is None:
        return
    np.testing.assert_array_equal(found.matrices, other.matrices)
    assert np.abs(found.matrices).max() < 2**15 and found.dtype in (np.int8, np.int16)
    product = found.matrices[0] @ found.weights_side[0].T
    assert np.abs(product - np.eye(4)).max() < 1e-12 * WORST_CONDITION


@pytest.mark.parametrize("bits", [2, 9, 0, -1])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match="choose 3 to 8, or 'pow2'"):
        rounded(wush(), bits)
