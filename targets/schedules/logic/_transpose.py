"""Bytes of sixteen vectors change places with the vectors, in every 128 bits."""

from __future__ import annotations

from collections.abc import Sequence

from edgegate.targets.schedules._registers import Expr, shuffle, unpack

GROUP = 16
"""Bytes of 128 bits, which instructions that unpack treat apart."""


def transposed(rows: Sequence[Expr], lanes: int) -> list[Expr]:
    """Sixteen vectors: byte ``j`` of every 128 bits of vector ``i`` is what byte ``i`` of vector ``j`` was there.

    Interleaving the two halves of the vectors moves the highest bit of a vector's number to the lowest of the
    byte's, and the highest of that to the lowest of the vector's: four times, and the two have changed places.
    """
    half = GROUP // 2
    for _ in range(4):
        rows = [unpack(rows[i], rows[i + half], which, 8, lanes) for i in range(half) for which in (0, 1)]
    return list(rows)


def gathered(vectors: Sequence[Expr], lanes: int) -> list[Expr]:
    """For every 128 bits of a vector, what each of the vectors holds there, one behind the other.

    Args:
        vectors: One or two, or four of 64 bytes.
        lanes: Bytes of a vector.
    """
    if len(vectors) < 4:
        return [_pieces(vectors, [(v, at) for v in range(len(vectors))], lanes) for at in range(lanes // GROUP)]
    found = []
    for half in (0, 2):
        turns = [(v, half + at) for at in (0, 1) for v in (0, 1)]
        pairs = [_pieces(vectors[:2], turns, lanes), _pieces(vectors[2:], turns, lanes)]
        found += [_pieces(pairs, [(v, 2 * at + i) for v in (0, 1) for i in (0, 1)], lanes) for at in (0, 1)]
    return found


def _pieces(vectors: Sequence[Expr], places: Sequence[tuple[int, int]], lanes: int) -> Expr:
    """Groups of 128 bits, given as vector and place in it."""
    return shuffle(vectors, [v * lanes + GROUP * at + i for v, at in places for i in range(GROUP)])
