"""Histograms do not depend on order or batches; ranges read off them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.quant.histogram import SIDE, Histogram, best, fit

FINITE = st.floats(-(2.0**70), 2.0**70, width=32)


def of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


@given(st.lists(FINITE, min_size=1, max_size=30), st.integers(0, 30))
def test_order_and_batches_do_not_matter(values: list[float], cut: int) -> None:
    whole = of(np.array(values))
    parts = of(np.array(values[cut:]), np.array(values[:cut]))
    assert (parts.low, parts.high, parts.zeros, parts.exponent) == (
        whole.low, whole.high, whole.zeros, whole.exponent,
    )  # fmt: skip
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert parts.counts.sum() + parts.zeros == len(values)


def test_bins_against_numpy() -> None:
    x = np.random.default_rng(0).standard_normal(5000)
    histogram = of(x[:10], x[10:100] * 1, x[100:])
    assert histogram.exponent is not None
    edge = 2.0**histogram.exponent
    expected, _ = np.histogram(x, bins=2 * SIDE, range=(-edge, edge))
    np.testing.assert_array_equal(histogram.counts, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        of(np.array([1.0, bad]))


@given(FINITE, FINITE, st.sampled_from(["int8", "uint8", "int16"]))
def test_fit_holds_its_range_and_an_exact_zero(a: float, b: float, dtype: str) -> None:
    low, high = min(a, b), max(a, b)
    storage = fit(low, high, dtype)
    assert storage.dequantize(np.array(storage.zero_point)) == 0.0
    assert storage.low <= storage.zero_point <= storage.high
    if max(-low, high) < 2.0**63:
        slack = storage.scale * 0.51
        assert storage.real_low - slack <= low
        assert high <= storage.real_high + slack


def test_fit_of_nothing() -> None:
    assert (fit(0.0, 0.0, "int8").scale, fit(0.0, 0.0, "int8").zero_point) == (2.0**-8, -128)
    assert fit(1e-40, 1e-39, "int16").scale == 2.0**-64


def test_fit_rounds_the_zero_point_half_up() -> None:
    assert fit(-2.5, 252.5, "int8").zero_point == -125
    assert fit(-3.5, 251.5, "uint8").zero_point == 4


def test_percentile_cuts_both_tails() -> None:
    x = np.linspace(-1, 1, 10_001)
    low, high = of(x).percentile(90)
    assert low == pytest.approx(-0.9, abs=1e-3)
    assert high == pytest.approx(0.9, abs=1e-3)
    assert of(x).percentile(100) == (-1, 1)
    assert of(np.zeros(9)).percentile(99) == (0, 0)


def test_best_clips_an_outlier_and_nothing_else() -> None:
    x = np.random.default_rng(1).standard_normal(1_000_000)
    low, high = best(of(x, np.array([60.0])), "int8")
    assert high < 30
    assert best(of(np.linspace(-1, 1, 1001)), "int8") == (-1, 1)
    assert best(of(np.zeros(3)), "int8") == (0, 0)
    clipped, whole = fit(low, high, "int8"), fit(float(x.min()), 60.0, "int8")
    assert of(x, np.array([60.0])).error(clipped) < of(x, np.array([60.0])).error(whole)


def test_error_is_the_real_one() -> None:
    x = np.random.default_rng(2).standard_normal(50_000)
    storage = fit(-4, 4, "int8")
    exact = np.mean((storage.dequantize(storage.quantize(x)) - x) ** 2)
    assert of(x).error(storage) == pytest.approx(exact, rel=0.02)
    bulk = np.sort(np.abs(x))[: len(x) * 99 // 100]
    error = np.mean((storage.dequantize(storage.quantize(bulk)) - bulk) ** 2)
    assert of(x).noise(storage) == pytest.approx(10 * np.log10(np.mean(bulk**2) / error), abs=0.2)
    assert of(x, np.zeros(9999)).noise(storage) == of(x).noise(storage)
    # The bulk drowns, however loud the outlier.
    assert of(x, np.array([900.0])).noise(fit(-4, 900, "int8")) < 3
    assert of(np.zeros(4)).noise(storage) == np.inf


@pytest.mark.parametrize("size", [1e-44, 1e-30, 1.0, 3e37])
def test_float32_and_float64_fill_the_same_bins(size: float) -> None:
    x = (np.random.default_rng(4).standard_normal(5000) * size).astype(np.float32)
    x[::7] = 0
    narrow, wide = Histogram(), Histogram()
    narrow.add(x)
    wide.add(x.astype(np.float64))
    assert narrow.counts.tolist() == wide.counts.tolist()
    assert narrow.counts.sum() + narrow.zeros == x.size
    assert narrow.zeros == int((x == 0).sum())


def test_what_was_read_off_is_read_again_after_more_came() -> None:
    histogram = Histogram()
    histogram.add(np.array([-1.0, 0.5]))
    before = histogram.best("int8"), histogram.seen()
    histogram.add(np.array([8.0] * 9))
    assert histogram.best("int8") == best(histogram, "int8") != before[0]
    assert len(histogram.seen()[0]) > len(before[1][0])
    assert histogram.best("int16") == best(histogram, "int16")


def test_the_error_is_that_of_the_storage() -> None:
    histogram = Histogram()
    histogram.add(np.random.default_rng(5).standard_normal(3000))
    centres, counts = histogram.seen()
    for storage in (fit(-1, 2.5, "int8"), fit(-4, 4, "int16"), fit(0, 1, "uint8")):
        off = centres - storage.dequantize(storage.quantize(centres))
        assert histogram.error(storage) == pytest.approx(np.average(off**2, weights=counts), rel=1e-9)


@given(st.lists(FINITE, max_size=30), st.lists(FINITE, max_size=30))
def test_merged_is_what_all_values_give(first: list[float], second: list[float]) -> None:
    whole, merged, other = of(np.array(first + second)), of(np.array(first)), of(np.array(second))
    merged.seen()
    merged.merge(other)
    assert (merged.low, merged.high, merged.zeros, merged.exponent) == (
        whole.low, whole.high, whole.zeros, whole.exponent,
    )  # fmt: skip
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_array_equal(other.counts, of(np.array(second)).counts)
    for found, wanted in zip(merged.seen(), whole.seen(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_ratio_counts_what_is_clipped() -> None:
    x = np.append(np.random.default_rng(0).uniform(-1, 1, 10_000), [3.0, -5.0, 0.0])
    storage = fit(-1.0, 1.0, "int8")
    off = x - storage.dequantize(storage.quantize(x))
    wanted = 10 * np.log10(np.sum(x**2) / np.sum(off**2))
    assert of(x).ratio(storage) == pytest.approx(wanted, abs=0.01)
    assert of(np.zeros(3)).ratio(storage) == np.inf
