"""Storages that follow from what a function is, not from what was seen: those of gates.

A gate's scale is a power of two, so that the multiplication by it is a shift: outputs within [0, 1] are
stored as uint8 in Q0.8, or int16 in Q0.15. Outputs within [-1, 1] are symmetric in the same way.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.quant.scalar_ops import scalar_function
from edgegate.quant.sharing import UNARY
from edgegate.quant.storage import Storage

SOFTMAXES = ("Softmax", "MaskedSoftmax")
STANDARD = ("Sigmoid", "HardSigmoid", "Tanh")
"""Gate functions that may also stand as plain ONNX nodes."""
SIGMOID, TANH, SHARE = "sigmoid", "tanh", "share"


def kind(model: ir.Model, node: ir.Node) -> str | None:
    """Whether the node's function stays within [0, 1] ("sigmoid"), or [-1, 1] ("tanh"); None otherwise.

    It must also use most of that range, on inputs between -10**4 and 10**4. What a softmax gives is a "share".
    """
    if node.op_type in SOFTMAXES:
        return SHARE
    function = scalar_function(model, node) if node.domain == UNARY or node.op_type in STANDARD else None
    if function is None:
        return None
    magnitudes = np.concatenate([[0.0], np.logspace(-3, 4, 1401)])
    try:
        y = function(np.concatenate([-magnitudes, magnitudes]))
    except CompileError:  # an op without a scalar meaning: to_integer says so where it needs the table
        return None
    low, high = float(y.min()), float(y.max())  # NaN where the function is undefined: no comparison holds
    if low >= 0 and 0.5 < high <= 1:
        return SIGMOID
    return TANH if -1 <= low < -0.5 and 0.5 < high <= 1 else None


def storage(model: ir.Model, node: ir.Node, dtype: str, reach: float) -> Storage | None:
    """The fixed storage of the node's output, or None if its range decides.

    A tanh whose outputs stay small keeps its resolution, and so do shares among many: the power of two covers
    ``reach``.

    Args:
        model: Holds the node.
        node: Any node.
        dtype: "int16", or "int8" for 8 bits.
        reach: The largest magnitude expected of the output.
    """
    found = kind(model, node)
    if found == SIGMOID:
        wide = dtype == "int16"
        return Storage(dtype="int16" if wide else "uint8", scale=2.0**-15 if wide else 2.0**-8)
    if found == TANH:
        exponent = min(max(math.frexp(reach)[1], -16), 0) if reach > 0 else 0
        return Storage(dtype=dtype, scale=2.0 ** (exponent - (15 if dtype == "int16" else 7)))
    return _share(dtype, reach) if found == SHARE else None


def _share(dtype: str, reach: float) -> Storage:
    """Of a softmax: uint8 or int16 that holds ``reach``, 1 at most."""
    exponent = min(max(math.frexp(reach)[1], -14), 0) if reach > 0 else 0
    bits = (15 if dtype == "int16" else 8) - exponent
    return Storage(dtype="int16" if dtype == "int16" else "uint8", scale=2.0**-bits)
