"""What a norm says of its output without data: mean and deviation per channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.quant.sharing import GATE, UNARY
from edgegate.quant.synthetic import moments

NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")


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
    last = axis == len(shape(value)) - 1
    if not last:
        return None
    if node.domain == "" and node.op_type in NORMS:
        whole = int(attribute(node, "axis", -1)) in (-1, axis)
        return _pair(channels, *(array(v) for v in node.inputs[1:3])) if whole else None
    if (node.domain, node.op_type) == (DOMAIN, "Affine") and node.inputs[0] is not None and _is_rms(node.inputs[0]):
        return _pair(channels, *(array(v) for v in node.inputs[1:3]))
    return _pair(channels) if _is_rms(value) else None


def _pair(channels: int, gain: Array | None = None, bias: Array | None = None) -> tuple[Array, Array] | None:
    """Both as vectors; None where one is not one number per channel."""
    given = (np.ones(1) if gain is None else gain, np.zeros(1) if bias is None else bias)
    if any(data.size not in (1, channels) for data in given):
        return None
    made = [np.broadcast_to(data.ravel(), channels).astype(np.float64) for data in given]
    return made[0], made[1]


def _is_rms(value: ir.Value) -> bool:
    """Whether ``value`` is some x times a function of the mean of x^2 over the last axis."""
    gate = value.producer()
    if gate is None or gate.domain != GATE or gate.inputs[1] is None:
        return False
    scalar = gate.inputs[1].producer()
    mean = scalar.inputs[0] if scalar is not None and scalar.domain == UNARY else None
    reduce = None if mean is None else mean.producer()
    if reduce is None or reduce.op_type != "ReduceMean" or reduce.inputs[0] is None:
        return False
    axes = array(reduce.inputs[1]) if len(reduce.inputs) > 1 else None
    rank = len(shape(value))
    over_last = axes is not None and axes.size == 1 and int(axes.ravel()[0]) % rank == rank - 1
    square = reduce.inputs[0].producer()
    return over_last and square is not None and square.op_type == "Square" and square.inputs[0] is gate.inputs[0]
