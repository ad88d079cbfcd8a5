"""Enter: how a float input becomes a state of 24 bits in int32, for which QuantizeLinear has no type.

    y = clip(round_half_even(x / scale), low, high)          in float32

It rounds and saturates as a QuantizeLinear does. No row of the op table: it stands at the inputs alone, and no program
computes it. The scale is a power of two, so that what a DequantizeLinear makes of a state comes back as it was.

Source: ONNX operator specification, QuantizeLinear-21.
"""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array

LIMIT = (1 << 23) - 1
"""The greatest stored value; the least is its negative. float32 holds all of them."""
BODY = f"""
<domain: "edgegate", opset_import: ["" : 21]>
Enter (x, scale, zero_point) => (y) {{
    least = Constant <value_int: int = -{LIMIT}> ()
    most = Constant <value_int: int = {LIMIT}> ()
    low = CastLike (least, x)
    high = CastLike (most, x)
    steps = Div (x, scale)
    rounded = Round (steps)
    floored = Max (rounded, low)
    clipped = Min (floored, high)
    y = CastLike (clipped, zero_point)
}}
"""


def reference(x: Array, scale: Array, zero_point: Array) -> Array:
    """int32 of float32 numbers; ``scale`` is a float32 scalar, ``zero_point`` an int32 one that is 0."""
    steps = np.rint(x.astype(np.float32) / scale)
    return np.clip(steps, -LIMIT, LIMIT).astype(zero_point.dtype)
