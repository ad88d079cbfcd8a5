"""Hadamard matrices, and the fast Walsh-Hadamard transform.

A matrix of +1 and -1 with ``H @ H.T == n * I``. Orders are 1, 2 and multiples of 4; those below 257 that are not
built here are 188 and 236 alone. Every construction is exact in integers; none depends on random search.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from edgegate.graph import Array
from edgegate.quant.transforms._fields import jacobsthal, prime_power

LARGEST = 4096
"""The largest order that is built."""

_SEQUENCES = {
    23: ("+-+-+--++-++++-++--+-+-", "+++-++---+-++-+---++-++", "++-++++---++++---++++-+", "+++--+----+--+----+--++"),
    29: (
        "+--++----+-++++++++-+----++--",
        "+--+---+-+--++++++--+-+---+--",
        "+-+++-+++--+-++++-+--+++-+++-",
        "++--++-+-++++----++++-+-++--+",
    ),
    39: (
        "+--++-++++++---+-++-+--+-+-+------+--++",
        "++--+-+++-++--+++++-+-++-+---+----++-++",
        "++-+---+++-++++-+---+++-+-++-++--+++++-",
        "++--+-+---+---+++++---++-+---+-----+--+",
    ),
    43: (
        "+-+----+++---+++-++---+--++++++-+-+-+--+--+",
        "+-+---+++-+-------+---+++-+++++++-+---+++-+",
        "+-++-+--++--++++-+-++-+--+-+----++--++-+--+",
        "+--+-+-+----+-----+++-----+-+++--++--+-----",
    ),
}
"""First rows of four circulant matrices with ``A A^T + B B^T + C C^T + D D^T = 4 n I``, by n."""


def orders(limit: int) -> list[int]:
    """The orders up to ``limit`` that :func:`hadamard` builds, ascending."""
    return [n for n in range(1, min(limit, LARGEST) + 1) if buildable(n)]


@cache
def buildable(order: int) -> bool:
    """Whether :func:`hadamard` builds this order."""
    if not 1 <= order <= LARGEST:
        return False
    if order in (1, 2):
        return True
    return order % 4 == 0 and (_paley(order) != 0 or order // 4 in _SEQUENCES or buildable(order // 2))


def hadamard(order: int) -> Array:
    """The Hadamard matrix of an order: int64 [order, order] of +1 and -1.

    A power of two is Sylvester's, in natural order. Otherwise it is Sylvester's of 2^k times a matrix of the least
    order ``order / 2^k`` that is built here: Paley's first or second (R. Paley, J. Math. Phys. 12, 1933) over
    GF(q), or four circulants in the array of Goethals and Seidel (Canad. J. Math. 19, 1967).

    Raises:
        ValueError: No matrix of this order is built here.
    """
    if not buildable(order):
        near = sorted(orders(2 * max(order, 1)), key=lambda n: (abs(n - order), n))[:3]
        raise ValueError(f"no Hadamard matrix of order {order}; near orders: {', '.join(map(str, sorted(near)))}")
    return _matrix(order).copy()


def split(order: int) -> tuple[int, int]:
    """``(2^k, base)``: the factors of an order, whose matrix is ``kron(sylvester(2^k), hadamard(base))``.

    The base is 1 for a power of two.
    """
    if order & (order - 1) == 0:
        return order, 1
    base = order
    while buildable(base // 2) and (base // 2) % 4 == 0:
        base //= 2
    return order // base, base


@cache
def _matrix(order: int) -> Array:
    powers, base = split(order)
    matrix = _base(base)
    while powers > 1:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        powers //= 2
    return matrix


def _base(order: int) -> Array:
    if order == 1:
        return np.ones((1, 1), np.int64)
    kind = _paley(order)
    return _goethals_seidel(order // 4) if kind == 0 else _paley_one(order) if kind == 1 else _paley_two(order)


def _paley(order: int) -> int:
    """Which of Paley's constructions gives this order: 1, 2, or 0 for none."""
    for kind, q, remainder in ((1, order - 1, 3), (2, order // 2 - 1, 1)):
        if q % 4 == remainder and q > 2 and prime_power(q):
            return kind
    return 0


def _bordered(q: int, sign: int) -> Array:
    """Jacobsthal's matrix with a row of ones above it and a column of ``sign`` before it, 0 in the corner."""
    matrix = np.zeros((q + 1, q + 1), np.int64)
    matrix[0, 1:], matrix[1:, 0], matrix[1:, 1:] = 1, sign, jacobsthal(q)
    return matrix


def _paley_one(order: int) -> Array:
    return _bordered(order - 1, -1) + np.eye(order, dtype=np.int64)


def _paley_two(order: int) -> Array:
    conference = _bordered(order // 2 - 1, 1)
    off, on = np.array([[1, 1], [1, -1]]), np.array([[1, -1], [-1, -1]])
    return np.kron(conference, off) + np.kron(np.eye(len(conference), dtype=np.int64), on)


def _goethals_seidel(n: int) -> Array:
    rows = [np.array([1 if sign == "+" else -1 for sign in row]) for row in _SEQUENCES[n]]
    a, b, c, d = (np.stack([np.roll(row, i) for i in range(n)]) for row in rows)
    back = np.eye(n, dtype=np.int64)[::-1]
    br, cr, dr = b @ back, c @ back, d @ back
    btr, ctr, dtr = b.T @ back, c.T @ back, d.T @ back
    return np.block([[a, br, cr, dr], [-br, a, dtr, -ctr], [-cr, -dtr, a, btr], [-dr, ctr, -btr, a]])


def fwht(values: Array) -> Array:
    """The unnormalised Hadamard transform along the last axis: ``values @ hadamard(n)`` transposed, in n log n adds.

    Args:
        values: [..., n], integers or floats; n is an order that :func:`hadamard` builds. Integers grow by the factor
            n at most and are summed in int64.

    Returns:
        [..., n], int64 for integers, float64 otherwise: ``y[..., i] = sum_j H[i, j] * values[..., j]``; natural
        (Sylvester) order for a power of two. A factor that is no power of two is a matrix product.

    Raises:
        ValueError: n is no order that is built here.
    """
    order = values.shape[-1]
    base = hadamard(split(order)[1]) if buildable(order) else hadamard(order)
    whole = np.issubdtype(values.dtype, np.integer)
    result: Array = values.astype(np.int64 if whole else np.float64).reshape(-1, order)
    if len(base) > 1:
        result = (result.reshape(-1, len(base)) @ base.T).reshape(-1, order)
    half = len(base)
    while half < order:
        pairs = result.reshape(len(result), order // half // 2, 2, half)
        upper, lower = pairs[:, :, 0], pairs[:, :, 1]
        result = np.stack([upper + lower, upper - lower], axis=2).reshape(-1, order)
        half *= 2
    return result.reshape(values.shape)
