"""Truth tables of up to six inputs as Python integers: bit ``i`` is the value at address ``i``, as in a Netlist."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

VARIABLES = (
    0xAAAAAAAAAAAAAAAA,
    0xCCCCCCCCCCCCCCCC,
    0xF0F0F0F0F0F0F0F0,
    0xFF00FF00FF00FF00,
    0xFFFF0000FFFF0000,
    0xFFFFFFFF00000000,
)
"""The table of each single input (Knuth, The Art of Computer Programming 4A, 7.1.3, the magic masks inverted)."""

CONSTANT = -2
"""In the place of a fanin in a pattern: ``CONSTANT`` is false, ``CONSTANT + 1`` is true."""


def ones(k: int) -> int:
    """The table of ``k`` inputs that is true everywhere."""
    return (1 << (1 << k)) - 1


def compose(table: int, words: Sequence[int], every: int) -> int:
    """``table`` applied to whole words, bit by bit: Shannon's expansion from the lowest input up.

    Args:
        table: Of ``len(words)`` inputs.
        words: The values of its inputs, one bit for each case.
        every: The word of all cases.
    """
    entries = [every if table >> i & 1 else 0 for i in range(1 << len(words))]
    for word in words:
        entries = [low ^ (word & (low ^ high)) for low, high in zip(entries[::2], entries[1::2], strict=True)]
    return entries[0]


def depends(table: int, j: int, k: int) -> bool:
    """Whether ``table``, of ``k`` inputs, depends on input ``j``."""
    low = ~VARIABLES[j] & ones(k)
    return bool((table ^ table >> (1 << j)) & low)


def cofactor(table: int, j: int, value: int, k: int) -> int:
    """``table`` with input ``j`` set to ``value``; still a table of ``k`` inputs, which ignores that one."""
    step = 1 << j
    if value:
        half = table & VARIABLES[j]
        return half | half >> step
    half = table & ~VARIABLES[j] & ones(k)
    return half | half << step


def flip(table: int, j: int, k: int) -> int:
    """``table``, of ``k`` inputs, with input ``j`` inverted."""
    step = 1 << j
    return (table & VARIABLES[j]) >> step | (table << step & VARIABLES[j] & ones(k))


def without(table: int, j: int, k: int) -> int:
    """``table``, which does not depend on input ``j``, as one of the ``k - 1`` other inputs."""
    half, mask, narrower = 1 << j, ones(j), 0
    for i in range(1 << (k - 1 - j)):
        narrower |= (table >> 2 * i * half & mask) << i * half
    return narrower


def support(table: int, k: int) -> tuple[tuple[int, ...], int]:
    """The inputs that ``table``, of ``k`` inputs, depends on, rising, and its table over these alone."""
    kept = tuple([j for j in range(k) if depends(table, j, k)])
    for j in range(k - 1, -1, -1):
        if j not in kept:
            table, k = without(table, j, k), k - 1
    return kept, table


@lru_cache(maxsize=1 << 16)
def normal(table: int, pattern: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """A gate whose fanins are known to be constant, equal, inverted or unread, made plain.

    Args:
        table: Of ``len(pattern)`` inputs.
        pattern: What each fanin is: ``2 * variable + inverted``, or ``CONSTANT + value``.

    Returns:
        The variables that the gate depends on, rising; its table over these, with bit 0 cleared by inversion; and
        whether it was inverted.
    """
    n = max(pattern, default=CONSTANT) // 2 + 1
    every = ones(n)
    words = [(VARIABLES[p >> 1] if p >= 0 else 0) & every ^ (every if p & 1 else 0) for p in pattern]
    kept, table = support(compose(table, words, every), n)
    inverted = table & 1
    return kept, table ^ (ones(len(kept)) if inverted else 0), inverted
