"""Scaled channels are scaled weights."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, matches, only_user, shape
from edgegate.passes._given_blocks import scale_blocks
from edgegate.passes._grids import scale_grid
from edgegate.passes._rewrite import absorb, revise
from edgegate.passes.to_affine import NORM


def fold_affine(model: ir.Model) -> None:
    """Fold each ``edgegate.Affine`` into the Conv, Linear or Affine before it, if nothing else reads that.

    So batch norms vanish. The node that stays carries the moments of its output (``edgegate.norm``): the
    folded norm's own, or its former ones scaled along.
    """
    for node in matches(model, "Affine", domain=DOMAIN):
        layer = before(node)
        if layer is not None:
            _fold(model, node, layer)


def before(node: ir.Node) -> ir.Node | None:
    """The Conv, Linear or Affine that this Affine can be folded into, or None."""
    source = node.inputs[0]
    layer = None if source is None else source.producer()
    if layer is None or source is None or only_user(source) is not node:
        return None
    return layer if channel_axis(layer) == attribute(node, "axis") else None


def channel_axis(layer: ir.Node) -> int | None:
    """The axis of the output along which the layer has a bias of its own for each channel; None if no layer."""
    if any(array(v) is None for v in layer.inputs[1:]):
        return None
    match layer.domain, layer.op_type:
        case "", "Conv":
            return 1
        case "edgegate", "Linear":
            return len(shape(layer.outputs[0])) - 1
        case "edgegate", "Affine":
            return int(attribute(layer, "axis"))
        case _:
            return None


def _fold(model: ir.Model, node: ir.Node, layer: ir.Node) -> None:
    scale, shift = _wide(node, 1).ravel(), _wide(node, 2).ravel()
    weight, bias = _wide(layer, 1), _wide(layer, 2)
    along = (-1,) + (1,) * (weight.ndim - 1) if layer.op_type != "Linear" else (-1,)
    revise(model, layer, 1, weight * scale.reshape(along))
    revise(model, layer, 2, bias * scale.reshape(bias.shape) + shift.reshape(bias.shape))
    scale_grid(layer, scale)
    if layer.op_type != "Affine":
        rows = weight.T if layer.op_type == "Linear" else np.moveaxis(weight, 1, -1).reshape(-1, weight.shape[1])
        scale_blocks(layer, rows, scale)
    _keep_moments(node, layer, scale, shift)
    absorb(node, layer)


def _wide(node: ir.Node, index: int) -> Array:
    data = array(node.inputs[index])
    assert data is not None, "a layer's weights are constant"
    return data.astype(np.float64)


def _keep_moments(node: ir.Node, layer: ir.Node, scale: Array, shift: Array) -> None:
    if NORM in node.metadata_props:
        layer.metadata_props[NORM] = node.metadata_props[NORM]
    elif NORM in layer.metadata_props:
        former = json.loads(layer.metadata_props[NORM])
        mean, std = np.array(former["mean"]) * scale + shift, np.array(former["std"]) * np.abs(scale)
        layer.metadata_props[NORM] = json.dumps({"mean": mean.tolist(), "std": std.tolist()})
