"""What the ops on blocks along the last axis share."""

from __future__ import annotations

from collections.abc import Sequence

from edgegate.graph import Array
from edgegate.ops._op import Interval


def cut(x: Array, block: int) -> Array:
    """The blocks of [..., K] as [..., K / block, block].

    Raises:
        ValueError: ``block`` does not divide K.
    """
    return x.reshape(*x.shape[:-1], count(x.shape, block), block)


def count(dims: Sequence[int], block: int) -> int:
    """How many blocks the last of ``dims`` makes; ValueError unless it makes whole ones."""
    if block < 1 or dims[-1] % block:
        raise ValueError(f"{dims[-1]} channels are no whole number of blocks of {block}; pad them")
    return dims[-1] // block


def whole(x: Interval, block: int) -> None:
    """OverflowError, for the analysis, unless ``x`` is made of whole blocks."""
    try:
        count(x.dims, block)
    except ValueError as e:
        raise OverflowError(str(e)) from e
