"""Hadamard matrices: exact for every order that is listed, and the transform in adds equal to the product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.transforms import fwht, hadamard, orders
from edgegate.quant.transforms._fields import jacobsthal, prime_power
from edgegate.quant.transforms.hadamard import LARGEST, buildable, split

ORDERS = orders(256)


def test_every_order_below_257_but_two_is_built():
    assert [n for n in (1, 2, *range(4, 257, 4)) if n not in ORDERS] == [188, 236]


def test_a_built_order_times_two_is_built():
    assert all(buildable(2 * n) for n in orders(LARGEST // 2))
    assert {1 << k for k in range(13)} <= set(orders(LARGEST))


@pytest.mark.parametrize("order", [*ORDERS, 344, 512, 728])
def test_rows_are_orthogonal_exactly(order):
    matrix = hadamard(order)
    assert matrix.dtype == np.int64 and set(np.unique(matrix)) <= {-1, 1}
    assert (matrix @ matrix.T == order * np.eye(order, dtype=np.int64)).all()


@pytest.mark.parametrize("order", ORDERS)
def test_adds_are_the_product(order):
    values = np.random.default_rng(order).integers(-128, 128, (3, 2, order))
    assert (fwht(values) == values @ hadamard(order).T).all()


def test_natural_order():
    assert hadamard(2).tolist() == [[1, 1], [1, -1]]
    assert hadamard(8)[5].tolist() == [(-1) ** bin(5 & j).count("1") for j in range(8)]


def test_the_transform_is_its_own_inverse_for_powers_of_two():
    values = np.arange(64) - 20
    assert (fwht(fwht(values)) == 64 * values).all()


def test_integers_stay_integers_and_do_not_wrap():
    values = np.full((1, 256), -128, np.int8)
    assert fwht(values).dtype == np.int64 and fwht(values)[0, 0] == -32768
    assert fwht(np.zeros((0, 8), np.float32)).shape == (0, 8)
    assert fwht(np.ones(1)).tolist() == [1.0]


def test_the_base_is_the_least_matrix():
    assert [split(n) for n in (1, 2, 64, 12, 24, 96, 40, 184)] == [
        (1, 1), (2, 1), (64, 1), (1, 12), (2, 12), (8, 12), (2, 20), (2, 92),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [0, -4, 3, 6, 10, 188, 236, LARGEST * 2])
def test_other_orders_are_refused_with_near_ones(order):
    with pytest.raises(ValueError, match=rf"no Hadamard matrix of order {order}; near orders: \d+"):
        hadamard(order)
    if order > 0:
        with pytest.raises(ValueError, match="near orders"):
            fwht(np.zeros((2, order)))


def test_matrices_are_copies():
    hadamard(4)[:] = 0
    assert hadamard(4).all()


@pytest.mark.parametrize("q", [3, 5, 7, 9, 25, 27, 49, 81, 121, 125, 243])
def test_jacobsthal(q):
    """Q Q^T = q I - J, Q J = 0: it is built of a field's squares."""
    matrix = jacobsthal(q)
    assert (matrix @ matrix.T == q * np.eye(q, dtype=np.int64) - 1).all()
    assert not matrix.sum(axis=1).any()
    assert ((matrix if q % 4 == 1 else -matrix) == matrix.T).all()


@pytest.mark.parametrize("q", [0, 1, 2, 8, 15, 45])
def test_other_fields_are_refused(q):
    with pytest.raises(ValueError, match="power of an odd prime"):
        jacobsthal(q)


@given(st.integers(2, 1000))
@settings(max_examples=100, deadline=None)
def test_prime_powers(q):
    found = prime_power(q)
    divisors = [n for n in range(2, q + 1) if q % n == 0 and all(n % m for m in range(2, n))]
    assert (found is not None) == (len(divisors) == 1)
    assert found is None or (found[0] == divisors[0] and found[0] ** found[1] == q)
