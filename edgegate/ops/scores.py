"""Scores: what counts of bits mean to the user, the float edge behind a GroupSum.

    y = (x + beta) / tau          in float32

It divides where a DequantizeLinear would multiply by a rounded 1 / tau, so that scores are those of the float model.
No row of the op table: it stands at the outputs alone, and no program computes it.

Source: Petersen et al., Deep Differentiable Logic Gate Networks (NeurIPS 2022), equation 3.
"""

from __future__ import annotations

from edgegate.graph import Array

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
Scores (x, tau, beta) => (y) {
    count = CastLike (x, tau)
    shifted = Add (count, beta)
    y = Div (shifted, tau)
}
"""


def reference(x: Array, tau: Array, beta: Array) -> Array:
    """Scores float32 of counts int32; ``tau`` and ``beta`` are float32 scalars. Exact below 2**24 counts."""
    return (x.astype(tau.dtype) + beta) / tau
