"""What lies around an image is the business of the convolution or the pool that reads it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, matches, set_attribute, shape

LEAST = float(np.finfo(np.float32).min)


def absorb_pad(model: ir.Model) -> None:
    """Add a Pad with zeros before a Conv, or with -inf before a MaxPool, to that op's own pads.

    Causal convolutions are often written so, and pools that pad as TensorFlow does. Several ops may read one
    Pad; it goes when none is left. A MaxPool takes no pads as wide as its windows: they would see nothing else.
    """
    for pad in matches(model, "Pad"):
        around, filling = _around(pad), _filling(pad)
        if around is None or filling is None:
            continue
        for user, index in tuple(pad.outputs[0].uses()):
            if index == 0 and user.domain == "" and attribute(user, "pads") is not None:
                pads = [int(p) + int(q) for p, q in zip(attribute(user, "pads"), around, strict=True)]
                if _takes(user, filling, pads):
                    set_attribute(user, "pads", pads)
                    user.replace_input_with(0, pad.inputs[0])


def _takes(user: ir.Node, filling: float, pads: list[int]) -> bool:
    """Whether ``user`` pads with ``filling`` itself, and may pad so much."""
    if user.op_type == "Conv":
        return filling == 0
    windows = tuple(attribute(user, "kernel_shape", ())) * 2
    return user.op_type == "MaxPool" and filling <= LEAST and all(p < k for p, k in zip(pads, windows, strict=True))


def _filling(pad: ir.Node) -> float | None:
    """What a Pad adds, or None where that is no one number."""
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    data = array(value)
    if attribute(pad, "mode", "constant") != "constant" or (value is not None and data is None):
        return None
    return 0.0 if data is None else float(data.item())


def _around(pad: ir.Node) -> Array | None:
    """The spatial pads, begins then ends, of a Pad that cuts nothing and leaves samples and channels; else None."""
    source, pads = pad.inputs[0], array(pad.inputs[1])
    axes = pad.inputs[3] if len(pad.inputs) > 3 else None
    if source is None or pads is None or axes is not None:
        return None
    both = pads.reshape(2, len(shape(source)))
    return both[:, 2:].ravel() if both.min() >= 0 and not both[:, :2].any() else None
