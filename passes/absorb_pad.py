"""Zeros around an image are the convolution's business."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import Array, array, attribute, matches, set_attribute, shape


def absorb_pad(model: ir.Model) -> None:
    """Add a Pad with zeros before a Conv to the Conv's own pads.

    Causal convolutions are often written so. Several Convs may read one Pad; it goes when none is left.
    """
    for pad in matches(model, "Pad"):
        around = _zeros_around(pad)
        if around is None:
            continue
        for conv, index in tuple(pad.outputs[0].uses()):
            if conv.op_type == "Conv" and conv.domain == "" and index == 0 and attribute(conv, "pads") is not None:
                pads = [int(p) + int(q) for p, q in zip(attribute(conv, "pads"), around, strict=True)]
                set_attribute(conv, "pads", pads)
                conv.replace_input_with(0, pad.inputs[0])


def _zeros_around(pad: ir.Node) -> Array | None:
    """The spatial pads, begins then ends, of a Pad that only adds zeros to spatial axes; else None."""
    source, pads = pad.inputs[0], array(pad.inputs[1])
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    axes = pad.inputs[3] if len(pad.inputs) > 3 else None
    filling = array(value)
    if source is None or pads is None or attribute(pad, "mode", "constant") != "constant" or axes is not None:
        return None
    if value is not None and (filling is None or filling.any()):
        return None
    both = pads.reshape(2, len(shape(source)))
    return both[:, 2:].ravel() if both.min() >= 0 and not both[:, :2].any() else None
