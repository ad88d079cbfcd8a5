"""What the sums of products share: windows in numpy and TE, and the interval rule of their accumulators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._op import Bound, Interval, fits

EXACT = 1 << 53
"""Every integer up to here is a float64."""
LARGE = 1 << 16
"""Products from which on floats are worth their conversion."""


def product(a: Array, b: Array) -> Array:
    """``a @ b`` of integers of one type, wrapped as that type wraps.

    By way of float64 where every sum is exact in it: numpy has a fast product of those, and none of integers.
    """
    if a.size * b.shape[-1] < LARGE or not b.size:
        return a @ b
    reach = [max(int(x.max()), -int(x.min())) for x in (a, b)]
    if reach[0] * reach[1] * a.shape[-1] >= EXACT:
        return a @ b
    found: Array = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return found.astype(a.dtype)


def output_size(size: int, kernel: int, before: int, after: int, stride: int, dilation: int) -> int:
    """Length of a convolution's output along one axis."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def windows(
    x: Array,
    kernel: Sequence[int],
    pads: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    fill: int,
) -> Array:
    """The 2-D windows of ``x``.

    Args:
        x: [N, H, W, C].
        kernel: Height and width.
        pads: Top, left, bottom, right.
        strides: Down and across.
        dilations: Down and across.
        fill: Value of the padding.

    Returns:
        [N, OH, OW, KH, KW, C], a view of the padded input.
    """
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def padded(x: Any, pads: Sequence[int], zero_point: int, dtype: str) -> Any:
    """TE: ``x - zero_point`` as ``dtype``, with zeros around it; [N, H, W, C]."""
    from tvm import te, tirx

    top, left, bottom, right = pads
    n, h, w, c = (int(d) for d in x.shape)

    def element(i: Any, y: Any, z: Any, k: Any) -> Any:
        value = x(i, y - top, z - left, k).astype(dtype) - tirx.const(zero_point, dtype)
        inside = tirx.all(y >= top, y < top + h, z >= left, z < left + w)
        return tirx.if_then_else(inside, value, tirx.const(0, dtype)) if any(pads) else value

    return te.compute((n, h + top + bottom, w + left + right, c), element, name="padded")


def accumulate(x: Interval, rows: Array, bias: Array, bits: int) -> Bound:
    """Bound every partial sum of ``bias + sum(w * x)``, whatever the order of summation.

    Over x in [l, h] the largest sum of row w is ``bias + sum(max(w * l, w * h))``, and it is reached; a
    partial sum never passes the same sum with negative terms left out.

    Args:
        x: The centred activation.
        rows: Integer weights, one row per output channel: [O, K].
        bias: [O].
        bits: Width of the accumulator.

    Raises:
        OverflowError: A partial sum may leave the accumulator.
    """
    w = rows.astype(np.int64)
    most, least = np.maximum(w * x.low, w * x.high), np.minimum(w * x.low, w * x.high)
    start = bias.astype(np.int64)
    high = np.maximum(start, 0) + np.maximum(most, 0).sum(1)
    low = np.minimum(start, 0) + np.minimum(least, 0).sum(1)
    partial = Interval(low=int(low.min(initial=0)), high=int(high.max(initial=0)))
    fits(partial, bits, "the accumulator")
    sums = Interval(low=int((start + least.sum(1)).min()), high=int((start + most.sum(1)).max()))
    return Bound(output=sums, accumulator=partial, bits=bits)


def reach_of(x: Interval, zero_point: int, pads: Sequence[int]) -> Interval:
    """The interval of ``x - zero_point``, with zero in it where there is padding."""
    centred = x.shifted(-zero_point)
    if not any(pads):
        return centred
    return Interval(low=min(centred.low, 0), high=max(centred.high, 0))


def constants(weight: Interval, bias: Interval) -> tuple[Array, Array]:
    """The weight and bias arrays; OverflowError unless both are constants."""
    if weight.data is None or bias.data is None:
        raise OverflowError("weight and bias must be constants")
    return weight.data, bias.data
