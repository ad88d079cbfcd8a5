"""What is cut off a convolution need not be computed."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, attribute, matches, only_user, set_attribute, shape
from edgegate.passes._rewrite import absorb


def trim_conv(model: ir.Model) -> None:
    """Turn Conv and the Slice after it into a Conv with fewer pads.

    The usual causal convolution pads both sides and cuts the end off; padded on the left alone it is
    the same. Only where each cut takes off no more than the pads made, at stride 1.
    """
    for node in matches(model, "Slice"):
        conv = node.inputs[0].producer() if node.inputs[0] is not None else None
        if conv is None or conv.op_type != "Conv" or conv.domain or only_user(conv.outputs[0]) is not node:
            continue
        pads = _trimmed(node, conv)
        if pads is not None:
            set_attribute(conv, "pads", pads)
            absorb(node, conv)


def _trimmed(node: ir.Node, conv: ir.Node) -> list[int] | None:
    """The Conv's pads without what the Slice takes off; None if pads cannot say it."""
    ranges = [array(v) for v in node.inputs[1:]]
    pads, strides = attribute(conv, "pads"), attribute(conv, "strides")
    if len(ranges) != 4 or any(r is None for r in ranges) or pads is None:
        return None
    dims, left = shape(conv.outputs[0]), list(pads)
    for start, end, axis, step in zip(*ranges, strict=True):  # type: ignore[arg-type]
        if axis < 2 or step != 1 or strides[axis - 2] != 1:
            return None
        left[axis - 2] -= int(start)
        left[axis - 2 + len(strides)] -= int(dims[axis] - end)
    return left if min(left) >= 0 else None
