"""GatedProduct: value times gate, brought to the output's scale with one rounding.

    y = clip(((value - value_zero_point) * (gate - gate_zero_point) * multiplier + 2**(shift - 1) >> shift)
             + output_zero_point, low, high)

It is TOSA's MUL followed by RESCALE, in one node, because it is what a gate does.
Source: TOSA 1.0.1, MUL and RESCALE with SINGLE_ROUND.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import NUMPY, elementwise, spread
from edgegate.ops._op import INT32, INT48, Bound, Interval, Op, Sample, fits
from edgegate.ops.rescale import bounds as rescale_bounds
from edgegate.ops.rescale import finish, scale

BODY = """
<domain: "edgegate", opset_import: ["" : 21, "edgegate" : 1]>
GatedProduct <value_zero_point, gate_zero_point, output_zero_point, low, high, to>
(value, gate, multiplier, shift) => (y) {
    value_zero = Constant <value_int: int = @value_zero_point> ()
    gate_zero = Constant <value_int: int = @gate_zero_point> ()
    wide_value = Cast <to: int = 7> (value)
    wide_gate = Cast <to: int = 7> (gate)
    centred_value = Sub (wide_value, value_zero)
    centred_gate = Sub (wide_gate, gate_zero)
    product = Mul (centred_value, centred_gate)
    y = edgegate.Rescale <input_zero_point: int = 0, output_zero_point: int = @output_zero_point,
        low: int = @low, high: int = @high, to: int = @to> (product, multiplier, shift)
}
"""


def reference(
    value: Array, gate: Array, multiplier: Array, shift: Array, *, value_zero_point: int, gate_zero_point: int,
    output_zero_point: int, low: int, high: int, to: int,
) -> Array:  # fmt: skip
    """Multiply ``value`` by ``gate``.

    Args:
        value: int8, uint8, int16, or int32 (a state of 24 bits).
        gate: int8, uint8 or int16; broadcasts with ``value``.
        multiplier: int32 [1], 0 or in [2**30, 2**31); for an int32 value in [2**14, 2**15).
        shift: int32 [1], in [2, 62].
        value_zero_point: Stored value of real zero in ``value``.
        gate_zero_point: The same of ``gate``; 0 for a sigmoid in Q0.8.
        output_zero_point: Added after scaling.
        low: Least value kept.
        high: Greatest value kept.
        to: ONNX type number of the result.
    """
    product = (value.astype(np.int64) - value_zero_point) * (gate.astype(np.int64) - gate_zero_point)
    return np.clip(scale(product, multiplier, shift) + output_zero_point, low, high).astype(NUMPY[to])


def scalar(
    value: Any, gate: Any, multiplier: Any, shift: Any, *, value_zero_point: int, gate_zero_point: int,
    output_zero_point: int, low: int, high: int, to: int,
) -> Any:  # fmt: skip
    """One element, as a TIR expression; the product of centred values of 16 bits and fewer fits int32."""
    from tvm import tirx

    kind = "int64" if "int32" in (str(value.ty), str(gate.ty)) else "int32"
    centred = [x.astype(kind) - tirx.const(z, kind) for x, z in ((value, value_zero_point), (gate, gate_zero_point))]
    wide = (centred[0] * centred[1]).astype("int64") * multiplier.astype("int64")
    return finish(wide, shift, output_zero_point, low, high, to)


def bounds(
    value: Interval, gate: Interval, multiplier: Interval, shift: Interval, *, value_zero_point: int,
    gate_zero_point: int, output_zero_point: int, low: int, high: int, to: int,
) -> Bound:  # fmt: skip
    """The product fits int32, or 48 bits where a factor has 32, and lies in the rescale's domain."""
    v, g = value.shifted(-value_zero_point), gate.shifted(-gate_zero_point)
    ends = [a * b for a in (v.low, v.high) for b in (g.low, g.high)]
    product = Interval(low=min(ends), high=max(ends))
    bits = INT48 if any(x.dtype is not None and x.dtype.itemsize == 4 for x in (value, gate)) else INT32
    fits(product, bits, "the gated product")
    settings = {"output_zero_point": output_zero_point, "low": low, "high": high, "to": to}
    scaled = rescale_bounds(product, multiplier, shift, input_zero_point=0, **settings)
    return Bound(output=scaled.output, accumulator=product, bits=bits)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Same shape and broadcast gates, every pair of types, ties, a pure shift and an odd multiplier."""
    shapes = (((2, 3, 4, 8), (2, 3, 4, 8)), ((2, 3, 4, 8), (2, 1, 1, 8)), ((1, 5, 6, 3), (1, 5, 6, 1)))
    for full, part in shapes:
        for left, right, vz, gz in (
            (np.int8, np.uint8, -7, 0),
            (np.int8, np.int8, 127, -128),
            (np.int16, np.int16, 0, 0),
        ):
            inputs = (spread(rng, left, full), spread(rng, right, part))
            shift, to = (38, 3) if left == np.int8 else (45, 5)
            low, high = (-128, 127) if to == 3 else (-32768, 32767)
            common = {"value_zero_point": vz, "gate_zero_point": gz, "low": low, "high": high, "to": to}
            for multiplier, zero_point in ((1 << 30, 0), (1518500250, 11)):
                scaling = (np.array([multiplier], np.int32), np.array([shift], np.int32))
                yield Sample(inputs=(*inputs, *scaling), attributes={**common, "output_zero_point": zero_point})
    state, decay = spread(rng, np.int32, (4, 6, 8)) >> 8, spread(rng, np.int16, (4, 6, 1))
    plain = {"value_zero_point": 0, "gate_zero_point": 0, "output_zero_point": 0}
    for factor, shift in ((1 << 14, 29), (23170, 33)):
        scaling = (np.array([factor], np.int32), np.array([shift], np.int32))
        limits = {"low": -(1 << 23), "high": (1 << 23) - 1, "to": 6}
        yield Sample(inputs=(state, decay, *scaling), attributes={**plain, **limits})


GATED_PRODUCT = Op(
    name="GatedProduct", body=BODY, reference=reference, bounds=bounds, scalar=scalar, lower=elementwise(scalar),
    samples=samples,
)  # fmt: skip
