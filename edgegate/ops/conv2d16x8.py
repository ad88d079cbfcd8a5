"""Conv2d16x8: int16 windows times int8 weights, summed in 48 bits (held in int64); channels last.

The formula is that of Conv2d without a zero point: 16-bit activations are symmetric.
Source: TOSA 1.0.1, CONV2D (int16 x int8 -> int48 form).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, constants, reach_of
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT48, Bound, Interval, Op, Sample
from edgegate.ops.conv2d import GEOMETRY, compute, convolve

# ONNX has no 16-bit convolution: x = 256 * high + low, and the convolution is linear.
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Conv2d16x8 <pads, strides, dilations, group> (x, weight, bias) => (y) {
    byte = Constant <value_int: int = 256> ()
    wide = Cast <to: int = 7> (x)
    low = Mod (wide, byte)
    rest = Sub (wide, low)
    high = Div (rest, byte)
    low8 = Cast <to: int = 2> (low)
    high8 = Cast <to: int = 3> (high)
    low_planes = Transpose <perm: ints = [0, 3, 1, 2]> (low8)
    high_planes = Transpose <perm: ints = [0, 3, 1, 2]> (high8)
    kernel = Transpose <perm: ints = [0, 3, 1, 2]> (weight)
    low_acc = ConvInteger <pads: ints = @pads, strides: ints = @strides, dilations: ints = @dilations,
        group: int = @group> (low_planes, kernel)
    high_acc = ConvInteger <pads: ints = @pads, strides: ints = @strides, dilations: ints = @dilations,
        group: int = @group> (high_planes, kernel)
    low64 = Cast <to: int = 7> (low_acc)
    high64 = Cast <to: int = 7> (high_acc)
    raised = Mul (high64, byte)
    acc = Add (raised, low64)
    pixels = Transpose <perm: ints = [0, 2, 3, 1]> (acc)
    y = Add (pixels, bias)
}
"""


def reference(
    x: Array, weight: Array, bias: Array, *, pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    group: int,
) -> Array:  # fmt: skip
    """Convolve int16 [N, H, W, C] with int8 [O, KH, KW, C / group] and int64 bias [O] to int64 [N, OH, OW, O]."""
    return convolve(x, weight, bias, np.int64, pads, strides, dilations, group, 0)


def lower(
    x: Any, weight: Any, bias: Any, *, pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    group: int,
) -> Any:  # fmt: skip
    """The portable TE form."""
    return compute(x, weight, bias, "int64", pads, strides, dilations, group, 0)


def bounds(
    x: Interval, weight: Interval, bias: Interval, *, pads: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], group: int,
) -> Bound:  # fmt: skip
    """Every partial sum fits 48 bits."""
    w, b = constants(weight, bias)
    return accumulate(reach_of(x, 0, pads), w.reshape(len(w), -1), b, INT48)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """The geometry of Conv2d's samples."""
    for dims, (outputs, kh, kw), group, attributes in GEOMETRY:
        weight = np.maximum(spread(rng, np.int8, (outputs, kh, kw, dims[3] // group)), -127)
        bias = spread(rng, np.int64, (outputs,)) >> 24
        yield Sample(inputs=(spread(rng, np.int16, dims), weight, bias), attributes={**attributes, "group": group})


CONV2D16X8 = Op(name="Conv2d16x8", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
