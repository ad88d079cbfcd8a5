"""Biases that make up for what rounding the weights does to the mean of a layer's output.

    E[W' x] - E[W x] = (W' - W) E[x],  so  b' = b - (W' - W) E[x]

with E[x] per input channel, over samples and positions, from calibration or the synthetic run. Zero padding
is taken into account: a tap of the kernel that looks outside the image contributes nothing there.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019,
section 4.2, equation 15.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from edgegate.graph import Array, attribute, shape
from edgegate.quant.block_weights import stored_blocks
from edgegate.quant.sites import matrix_of, with_matrix
from edgegate.quant.storage import BlockStorage, WeightStorage
from edgegate.quant.weights import Layer


def corrections(
    found: list[Layer],
    weights: Mapping[str, WeightStorage | BlockStorage],
    means: Mapping[str, Array],
    wanted: Mapping[str, Array] | None = None,
) -> dict[str, tuple[float, ...]]:
    """What to add to each bias, by the name of the bias initializer.

    A bias that several layers share stays as it is: it cannot make up for more than one of them. So do the
    layers without a bias, and Affine, whose weights are stored exactly (one per scale).

    Args:
        found: The layers.
        weights: How their weights are stored.
        means: Per input channel of each layer, by name of the layer's input.
        wanted: What the weights should be, by name, where they are not that any more.
    """
    users = Counter(str(layer.bias.name) for layer in found if layer.bias is not None)
    result = {}
    for layer in found:
        if layer.bias is None or layer.node.op_type == "Affine" or users[str(layer.bias.name)] > 1:
            continue
        name = str(layer.weight.name)
        shift = mean_shift(layer, weights[name], means[layer.source], (wanted or {}).get(name))
        if shift.any():
            result[str(layer.bias.name)] = tuple(float(-s) for s in shift)
    return result


def mean_shift(layer: Layer, storage: WeightStorage | BlockStorage, mean: Array, wanted: Array | None = None) -> Array:
    """How far storing the weights moves the mean of each output channel: float64 [channels].

    Args:
        layer: A Conv or Linear.
        storage: Of its weights.
        mean: float64 [input channels].
        wanted: What the weights should be; None: what they are.
    """
    change = _rounded(layer, storage) - (layer.data() if wanted is None else wanted).astype(np.float64)
    if layer.node.op_type != "Conv":
        return np.asarray(mean @ change)
    outputs, inputs = change.shape[:2]
    reach = inside(layer)
    per_input = (change * reach).reshape(outputs, inputs, -1).sum(axis=2)
    groups = len(mean) // inputs
    seen = np.repeat(mean.reshape(groups, inputs), outputs // groups, axis=0)
    return np.asarray((per_input * seen).sum(axis=1))


def _rounded(layer: Layer, storage: WeightStorage | BlockStorage) -> Array:
    """The weights as they are stored, float64."""
    if isinstance(storage, WeightStorage):
        return storage.dequantize(storage.quantize(layer.data().astype(np.float64)))
    stored = stored_blocks(storage, matrix_of(layer).T.astype(np.float64)).values()
    return with_matrix(layer, stored.T)


def inside(layer: Layer) -> Array:
    """For each tap of a Conv's kernel, the share of output positions at which it looks inside the input.

    float64, the kernel's shape.
    """
    assert layer.node.inputs[0] is not None, "a Conv has an input"
    sizes, kernel = shape(layer.node.inputs[0])[2:], layer.data().shape[2:]
    rank = len(sizes)
    pads = attribute(layer.node, "pads", [0] * (2 * rank))
    strides = attribute(layer.node, "strides", [1] * rank)
    dilations = attribute(layer.node, "dilations", [1] * rank)
    result = np.ones(())
    for a in range(rank):
        before, after = pads[a], pads[rank + a]
        taps = np.arange(kernel[a]) * dilations[a] - before
        count = (sizes[a] + before + after - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1
        at = taps[:, None] + np.arange(count) * strides[a]
        share = ((at >= 0) & (at < sizes[a])).mean(axis=1)
        result = result[..., None] * share
    return result
