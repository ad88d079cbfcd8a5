"""Quadratic residues of finite fields, as Paley's matrices need them."""

from __future__ import annotations

import itertools

import numpy as np

from edgegate.graph import Array


def prime_power(q: int) -> tuple[int, int] | None:
    """``(p, k)`` with ``q == p**k`` and p prime; None if q is no power of a prime."""
    p = next((p for p in itertools.chain(range(2, int(q**0.5) + 1), (q,)) if q % p == 0), 0) if q > 1 else 0
    k = 0
    rest = q
    while p and rest % p == 0:
        rest //= p
        k += 1
    return (p, k) if p and rest == 1 else None


def jacobsthal(q: int) -> Array:
    """chi(a - b) for all elements a, b of the field of q elements: int64 [q, q], q an odd prime power.

    chi is 0 for zero, 1 for a square, -1 otherwise. Element i of GF(p^k) is the polynomial whose coefficients
    are the digits of i in base p.

    Raises:
        ValueError: q is not an odd prime power.
    """
    found = prime_power(q)
    if found is None or q % 2 == 0:
        raise ValueError(f"{q} is not a power of an odd prime")
    p, k = found
    weights = p ** np.arange(k)
    digits = np.arange(q)[:, None] // weights % p
    chi = np.full(q, -1, np.int64)
    chi[0] = 0
    chi[[int(element @ weights) for element in _units(p, k)[::2]]] = 1
    difference = (digits[:, None, :] - digits[None, :, :]) % p
    return chi[difference @ weights]


def _units(p: int, k: int) -> list[Array]:
    """The powers 1, g, g^2, ... of a generator of GF(p^k)'s units, as coefficients; every second one is a square.

    The field is GF(p)[x] modulo x^k - (c_0 + ... + c_{k-1} x^{k-1}); g is x. The first coefficients for which
    x has p^k - 1 different powers make x a generator, and the quotient a field.
    """
    one = np.zeros(k, np.int64)
    one[0] = 1
    for coefficients in itertools.product(range(p), repeat=k):
        powers = [one]
        while len(powers) < p**k:
            last = powers[-1]
            shifted = np.concatenate([[0], last[:-1]])
            power = (shifted + last[-1] * np.array(coefficients)) % p
            if not power.any() or (power == one).all():
                break
            powers.append(power)
        if len(powers) == p**k - 1 and coefficients[0]:
            return powers
    raise AssertionError("every finite field has a generator")  # pragma: no cover
