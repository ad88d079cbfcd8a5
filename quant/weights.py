"""The layers of a model, and the scales of their weights: one per output channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, Array, array, attribute, shape, where
from edgegate.quant.storage import LARGEST_SCALE, SMALLEST_SCALE, Storage, WeightStorage

BIAS_BITS = {"int8": 30, "uint8": 30, "int16": 46}
"""By the input's dtype: a stored bias stays below two to this, half of what its accumulator holds."""
DEAD_BIAS_BITS = 16
"""A channel without weights stores its bias in so many bits."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A node that multiplies an activation by constant weights.

    Attributes:
        node: Conv, edgegate.Linear, edgegate.Affine, or MatMul with a constant right side.
        source: Name of the activation.
        output: Name of the result.
        weight: The weight initializer.
        bias: The bias initializer, or None.
        axis: The axis of the output channels in the weights.
        channel_axis: The axis of the input channels in the activation.
    """

    node: ir.Node
    source: str
    output: str
    weight: ir.Value
    bias: ir.Value | None
    axis: int
    channel_axis: int

    def data(self) -> Array:
        """The float weights."""
        found = array(self.weight)
        assert found is not None, "a layer's weights are constant"
        return found

    def bias_data(self) -> Array:
        """The float bias, float64 [channels]; zeros if there is none."""
        found = None if self.bias is None else array(self.bias)
        channels = self.data().shape[self.axis]
        if found is None:
            return np.zeros(channels)
        return np.broadcast_to(found.ravel(), channels).astype(np.float64)


def layers(model: ir.Model) -> list[Layer]:
    """Every layer, in graph order. CompileError listing all layers with NaN or infinite weights."""
    found = [layer for node in model.graph if (layer := layer_of(node)) is not None]
    problems = [problem for layer in found for problem in _unsound(layer)]
    if problems:
        raise CompileError.of(problems)
    return found


def layer_of(node: ir.Node) -> Layer | None:
    """The node as a layer, or None if it multiplies by no constant weights."""
    kind = (node.domain, node.op_type)
    if kind not in {("", "Conv"), (DOMAIN, "Linear"), (DOMAIN, "Affine"), ("", "MatMul")}:
        return None
    source, weight = node.inputs[:2]
    data = array(weight)
    if source is None or weight is None or data is None or array(source) is not None:
        return None
    bias = node.inputs[2] if len(node.inputs) > 2 and array(node.inputs[2]) is not None else None
    rank = len(shape(source))
    if kind == (DOMAIN, "Affine"):
        axis, channel_axis = int(np.argmax(data.shape)), int(attribute(node, "axis", 1)) % rank
    elif kind == ("", "Conv"):
        axis, channel_axis = 0, 1
    else:
        axis, channel_axis = data.ndim - 1, rank - 1
    return Layer(
        node=node,
        source=str(source.name),
        output=str(node.outputs[0].name),
        weight=weight,
        bias=bias,
        axis=axis,
        channel_axis=channel_axis,
    )


def _unsound(layer: Layer) -> list[Problem]:
    problems = []
    for what, data in (("weights", layer.data()), ("biases", layer.bias_data())):
        bad = ~np.isfinite(data)
        if bad.any():
            channels = sorted({int(i) for i in np.nonzero(bad)[layer.axis if data.ndim > 1 else 0]})
            said = f"has {int(bad.sum())} NaN or infinite {what}, in output channels {channels[:8]}"
            fix = "check the training run or the file"
            problems.append(Problem(where=where(layer.node), what=said, fix=fix))
    return problems


def channel_scales(weight: Array, axis: int, method: str, bits: int = 8) -> Array:
    """One scale per output channel: float64, 0 for a channel of zeros.

    "absmax" maps the largest magnitude to the greatest stored weight. "mse" clips it, down to a half in
    steps of 1/64, where that lowers the squared error of the channel; the widest of equals wins.
    """
    rows = np.moveaxis(weight.astype(np.float64), axis, 0).reshape(weight.shape[axis], -1)
    high = (1 << (bits - 1)) - 1
    widest: Array = np.abs(rows).max(axis=1, initial=0.0) / high
    if method == "absmax":
        return widest
    chosen: Array = widest.copy()
    least = np.full(len(rows), np.inf)
    for factor in np.arange(64, 31, -1) / 64:
        scales = np.where(widest > 0, widest * factor, 1.0)[:, None]
        stored = np.clip(np.floor(rows / scales + 0.5), -high, high)
        error = ((rows - stored * scales) ** 2).sum(axis=1)
        better = error < least
        chosen[better], least[better] = (widest * factor)[better], error[better]
    return chosen


def choose_weights(
    found: list[Layer], values: Mapping[str, Storage], method: str, alike: Sequence[Sequence[Layer]] = ()
) -> dict[str, WeightStorage]:
    """The storage of every weight initializer, by name.

    A scale is widened where the bias would not fit the accumulator at ``scale of input * scale of weight``;
    the weights then are negligible beside the bias. A channel of zeros takes the scale that stores its bias
    in 16 bits, or if it has none the greatest of the others, whose rescale then is in no danger for its sake.

    Args:
        found: The layers.
        values: How activations are stored.
        method: See :func:`channel_scales`.
        alike: Layers of ``found`` that must have the same scales: the greatest of them.

    Raises:
        CompileError: Two layers use the same weights with different output axes, or weights or a bias are too large.
    """
    scales: dict[str, tuple[int, Array]] = {}
    for layer in found:
        name, data = str(layer.weight.name), layer.data()
        axis, chosen = scales.get(name, (layer.axis, channel_scales(data, layer.axis, method)))
        if axis != layer.axis:
            fix = "give each layer weights of its own"
            raise CompileError(where(layer.node), f"shares {name} with a layer that reads it transposed", fix)
        scales[name] = axis, np.maximum(chosen, least_scales(layer, values[layer.source]))
        if (worst := float(scales[name][1].max(initial=0.0))) > LARGEST_SCALE:
            what, fix = f"would need a scale of {worst:.3g}, past 2**64", "start a running maximum at -1e4, say"
            raise CompileError(where(layer.node), what, fix)
    for family in alike:
        names = [str(layer.weight.name) for layer in family]
        greatest = np.max([scales[name][1] for name in names], 0)
        scales |= {name: (scales[name][0], greatest) for name in names}
    return {
        name: WeightStorage(
            axis=axis, scales=tuple(float(s) for s in np.where(chosen > 0, chosen, chosen.max() or 1.0))
        )
        for name, (axis, chosen) in scales.items()
    }


def live_channels(layer: Layer) -> Array:
    """For each output channel, whether any weight of the channel is not zero."""
    data = layer.data()
    others = tuple(a for a in range(data.ndim) if a != layer.axis)
    return np.asarray((data != 0).any(axis=others))


def least_scales(layer: Layer, source: Storage) -> Array:
    """The least scale per channel at which the bias fits; 0 for a channel with neither weights nor bias."""
    live = live_channels(layer)
    bits = np.where(live, BIAS_BITS[source.dtype], DEAD_BIAS_BITS)
    least = np.abs(layer.bias_data()) / np.ldexp(source.scale, bits)
    return np.where(live | (least > 0), np.maximum(least, SMALLEST_SCALE), 0.0)
