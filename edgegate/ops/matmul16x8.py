"""MatMul16x8: int16 rows times int8 weights, summed in 48 bits (held in int64).

    y[..., i, j] = bias[j] + sum over k of a[..., i, k] * b[k, j]

Source: TOSA 1.0.1, MATMUL (int16 form, with int8 weights).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._contraction import accumulate, constants, product
from edgegate.ops._elementwise import spread
from edgegate.ops._op import INT48, Bound, Interval, Op, Sample
from edgegate.ops.matmul import compute

# ONNX has no 16-bit integer product: a = 256 * high + low, and the product is linear.
BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
MatMul16x8 (a, b, bias) => (y) {
    byte = Constant <value_int: int = 256> ()
    wide = Cast <to: int = 7> (a)
    low = Mod (wide, byte)
    rest = Sub (wide, low)
    high = Div (rest, byte)
    low8 = Cast <to: int = 2> (low)
    high8 = Cast <to: int = 3> (high)
    low_acc = MatMulInteger (low8, b)
    high_acc = MatMulInteger (high8, b)
    low64 = Cast <to: int = 7> (low_acc)
    high64 = Cast <to: int = 7> (high_acc)
    raised = Mul (high64, byte)
    acc = Add (raised, low64)
    y = Add (acc, bias)
}
"""


def reference(a: Array, b: Array, bias: Array) -> Array:
    """Multiply int16 [..., M, K] by int8 [K, N] and add int64 [N]: int64 [..., M, N]."""
    return product(a.astype(np.int64), b.astype(np.int64)) + bias


def lower(a: Any, b: Any, bias: Any) -> Any:
    """The portable TE form."""
    return compute(a, b, bias, "int64", 0, 0)


def bounds(a: Interval, b: Interval, bias: Interval) -> Bound:
    """Every partial sum fits 48 bits."""
    w, start = constants(b, bias)
    return accumulate(a, w.T, start, INT48)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """A vector and a batch."""
    for left, right in (((1, 40), (40, 7)), ((2, 3, 17), (17, 16))):
        b = np.maximum(spread(rng, np.int8, right), -127)
        yield Sample(inputs=(spread(rng, np.int16, left), b, spread(rng, np.int64, right[-1:]) >> 24))


MATMUL16X8 = Op(name="MatMul16x8", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
