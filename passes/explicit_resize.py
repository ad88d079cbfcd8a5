"""Resize says how it maps coordinates."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, matches, shape
from edgegate.passes._rewrite import operand, put

_DEFAULTS = {
    "mode": "nearest",
    "coordinate_transformation_mode": "half_pixel",
    "nearest_mode": "round_prefer_floor",
}
"""Attributes always present afterwards, and what ONNX takes where they are left out."""
_MATTERING = ("antialias", "exclude_outside")
"""Kept where they are not zero."""


def explicit_resize(model: ir.Model) -> None:
    """Give Resize a scale per axis, float32, constant, and its three coordinate attributes.

    Sizes become ``output / input``, which is how ONNX reads them. Stays as it is: cubic mode, crops, an
    aspect ratio to keep, and a scale that is not constant or whose float32 does not give the size.
    """
    for node in matches(model, "Resize"):
        scales = _scales(node)
        if scales is None or not _is_plain(node):
            continue
        attributes = {name: attribute(node, name, default) for name, default in _DEFAULTS.items()}
        attributes |= {name: v for name in _MATTERING if (v := attribute(node, name, 0))}
        given = constant(model, f"{node.outputs[0].name}.scales", scales)
        put(node, "Resize", [node.inputs[0], None, given], attributes)


def _is_plain(node: ir.Node) -> bool:
    crops = attribute(node, "coordinate_transformation_mode", "half_pixel").startswith("tf_crop")
    stretches = attribute(node, "keep_aspect_ratio_policy", "stretch") == "stretch"
    return attribute(node, "mode", "nearest") in ("nearest", "linear") and stretches and not crops


def _scales(node: ir.Node) -> Array | None:
    """float32 [rank], or None where they cannot be written down."""
    source, output = operand(node), node.outputs[0]
    before, after = (np.array(shape(v), np.float32) for v in (source, output))
    given = array(node.inputs[2]) if len(node.inputs) > 2 else None
    wanted = np.ones(len(before), np.float32)
    axes = attribute(node, "axes", range(len(before)))
    if given is not None and given.size:
        wanted[list(axes)] = given
    else:
        wanted = after / before
    return wanted if np.array_equal(np.floor(before * wanted), after) else None
