"""What a norm says of its output without data: mean and deviation per channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.quant.synthetic import moments


def norm_gains(value: ir.Value, axis: int) -> tuple[Array, Array] | None:
    """The gains and biases of the norm that made ``value``, or None if none did.

    A norm over the channels leaves ``gain * h + bias`` with ``E||h||^2`` = the number of channels; a batch norm leaves
    mean and deviation of each channel, wherever it was folded.

    Args:
        value: Any.
        axis: Of its channels.

    Returns:
        float64 [K] each.
    """
    node = value.producer()
    if node is None:
        return None
    channels = shape(value)[axis]
    if (known := moments(node)) is not None:
        return (known.std, known.mean) if known.axis == axis else None
    if axis != len(shape(value)) - 1:
        return None
    if (node.domain, node.op_type) == (DOMAIN, "Affine") and node.inputs[0] is not None and _is_norm(node.inputs[0]):
        return _pair(channels, *(array(v) for v in node.inputs[1:3]))
    return _pair(channels) if _is_norm(value) else None


def _pair(channels: int, gain: Array | None = None, bias: Array | None = None) -> tuple[Array, Array] | None:
    """Both as vectors; None where one is not one number per channel."""
    given = (np.ones(1) if gain is None else gain, np.zeros(1) if bias is None else bias)
    if any(data.size not in (1, channels) for data in given):
        return None
    made = [np.broadcast_to(data.ravel(), channels).astype(np.float64) for data in given]
    return made[0], made[1]


def _is_norm(value: ir.Value) -> bool:
    """Whether ``value`` is normalised over its last axis, to a mean square of 1."""
    node = value.producer()
    return node is not None and (node.domain, node.op_type) == (DOMAIN, "RowNorm") and attribute(node, "mean") == 1
