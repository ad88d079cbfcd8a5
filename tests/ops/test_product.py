"""Products of integers by way of floats: the same bits as those of integers, wrapped alike."""

import numpy as np
import pytest

from edgegate.ops._contraction import EXACT, LARGE, product


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("low", [-(1 << 7), -(1 << 15), -(1 << 20), -(1 << 30)])
@pytest.mark.parametrize("depth", [1, 7, 200])
def test_it_is_the_product_of_integers(dtype, low, depth):
    rng = np.random.default_rng(0)
    a = rng.integers(low, -low, (3, 40, depth)).astype(dtype)
    b = rng.integers(low, -low, (3, depth, 1000)).astype(dtype)
    a[0, 0], b[0, :, 0] = low, low  # the greatest sum
    assert a.size * b.shape[-1] >= LARGE
    found = product(a, b)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, a @ b)


def test_at_the_end_of_what_floats_hold():
    a = np.full((1, 2), (1 << 26) + 1)
    b = np.full((2, LARGE), (1 << 25) - 3)
    b[1, 1::2] = -b[1, 1::2] + 1
    assert (1 << 25) * (1 << 26) * 2 < EXACT <= int(a.max()) ** 2 * 2 * 2
    np.testing.assert_array_equal(product(a, b), a @ b)
