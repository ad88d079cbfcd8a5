"""A transposed convolution is a convolution with more channels, and a shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, constant, insert, matches, shape
from edgegate.passes._grids import repeat_grid
from edgegate.passes._rewrite import is_float, operand, put
from edgegate.passes.explicit_shuffles import shuffle


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One spatial axis of a transposed convolution.

    Output ``o`` is ``stride * q + phase - start``, where ``q`` counts the places of the convolution.

    Attributes:
        size: Of the input.
        length: Of the output.
        stride: Phases per place.
        taps: Weights per phase.
        start: How much of the full output is cut off at the beginning.
    """

    size: int
    length: int
    stride: int
    taps: int
    start: int

    @property
    def places(self) -> tuple[int, int]:
        """The first place that is needed, and the one after the last."""
        return self.start // self.stride, -(-(self.start + self.length) // self.stride)

    @property
    def pads(self) -> tuple[int, int]:
        """Zeros that the convolution sees before and after its input."""
        first, end = self.places
        return self.taps - 1 - first, end - self.size

    @property
    def cut(self) -> int:
        """How much of the shuffled output is cut off at the beginning."""
        return self.start % self.stride


def to_conv(model: ir.Model) -> None:
    """Turn ConvTranspose with constant weights into Conv, Reshape, Transpose, Reshape, and a Slice if need be.

    Each of the ``stride`` phases of the output sees every stride-th weight, so it is a small convolution of the
    input itself; the phases are computed as channels and then interleaved. No product with an inserted zero is
    computed. Holes between the weights (``dilations``) are filled with zeros. Left alone where the pads cut off
    more than a phase has.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    """
    for node in matches(model, "ConvTranspose"):
        weight = array(node.inputs[1])
        bias = array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        if weight is None or not is_float(node.inputs[0]) or (bias is None and len(node.inputs) > 2):
            continue
        dilated = _dilated(weight, attribute(node, "dilations", [1] * (weight.ndim - 2)))
        axes = _axes(node, dilated.shape[2:])
        if all(min(a.pads) >= 0 for a in axes):
            _rewrite(model, node, dilated, bias, axes)


def _dilated(weight: Array, dilations: Sequence[int]) -> Array:
    """[I, O, *kernel] with zeros between the weights."""
    kernel = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    full = np.zeros((*weight.shape[:2], *kernel), weight.dtype)
    full[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = weight
    return full


def _axes(node: ir.Node, kernel: Sequence[int]) -> list[Axis]:
    rank = len(kernel)
    sizes, lengths = shape(operand(node))[2:], shape(node.outputs[0])[2:]
    strides, more = attribute(node, "strides", [1] * rank), attribute(node, "output_padding", [0] * rank)
    kind, resolved = attribute(node, "auto_pad", "NOTSET"), attribute(node, "output_shape") is None
    starts = list(attribute(node, "pads", [0] * 2 * rank))[:rank]
    if kind.startswith("SAME") or not resolved:
        total = [s * (n - 1) + m + k - o for s, n, m, k, o in zip(strides, sizes, more, kernel, lengths, strict=True)]
        starts = [t // 2 if kind == "SAME_UPPER" else t - t // 2 for t in total]
    return [
        Axis(size=n, length=o, stride=s, taps=-(-k // s), start=b)
        for n, o, s, k, b in zip(sizes, lengths, strides, kernel, starts, strict=True)
    ]


def _phases(weight: Array, group: int, axes: Sequence[Axis]) -> Array:
    """[O * phases, I / group, *taps] of [I, O / group, *kernel], kernels turned round."""
    tails = [(0, a.taps * a.stride - k) for a, k in zip(axes, weight.shape[2:], strict=True)]
    whole = np.pad(weight, [(0, 0), (0, 0), *tails])
    inputs, outputs = whole.shape[0] // group, whole.shape[1]
    parts = whole.reshape(group, inputs, outputs, *(n for a in axes for n in (a.taps, a.stride)))
    turned = np.flip(parts, tuple(3 + 2 * i for i in range(len(axes))))
    order = (0, 2, *(4 + 2 * i for i in range(len(axes))), 1, *(3 + 2 * i for i in range(len(axes))))
    phases = prod(a.stride for a in axes)
    return np.ascontiguousarray(turned.transpose(order)).reshape(
        group * outputs * phases, inputs, *(a.taps for a in axes)
    )


def _rewrite(model: ir.Model, node: ir.Node, weight: Array, bias: Array | None, axes: list[Axis]) -> None:
    """Put the convolution, its shuffle and its cut in the place of ``node``."""
    source, output, group = operand(node), node.outputs[0], int(attribute(node, "group", 1))
    name, (n, channels) = str(output.name), shape(output)[:2]
    strides = [a.stride for a in axes]
    phases = prod(strides)
    offsets = np.repeat(np.zeros(channels, np.float32) if bias is None else bias, phases)
    inputs = [
        source,
        constant(model, f"{name}.weight", _phases(weight, group, axes)),
        constant(model, f"{name}.bias", offsets),
    ]
    spots = [end - first for first, end in (a.places for a in axes)]
    settings = {
        "pads": [a.pads[0] for a in axes] + [a.pads[1] for a in axes],
        "strides": [1] * len(axes),
        "dilations": [1] * len(axes),
        "group": group,
    }
    if phases == 1:
        put(node, "Conv", inputs, settings)
        return
    dims = (n, channels * phases, *spots)
    conv = insert(
        node, "Conv", inputs, settings, domain="", name=f"{name}.phases", dtype=ir.DataType.FLOAT, dims=dims
    )  # fmt: skip
    repeat_grid(conv, phases)
    whole = [q * s for q, s in zip(spots, strides, strict=True)]
    if whole != list(shape(output)[2:]):
        node = _cut(model, node, axes, (n, channels, *whole))
    rank = len(axes)
    perm = [0, 1] + [p for i in range(rank) for p in (2 + rank + i, 2 + i)]
    shuffle(model, node, conv, (n, channels, *strides, *spots), perm)


def _cut(model: ir.Model, node: ir.Node, axes: Sequence[Axis], dims: Sequence[int]) -> ir.Node:
    """Let a Slice make the output of ``node``, from a new node (of its type and inputs) with shape ``dims``."""
    name = node.outputs[0].name
    whole = insert(
        node, node.op_type, list(node.inputs), domain="", name=f"{name}.whole", dtype=ir.DataType.FLOAT, dims=dims
    )  # fmt: skip
    numbers = {
        "starts": [a.cut for a in axes],
        "ends": [a.cut + a.length for a in axes],
        "axes": [2 + i for i in range(len(axes))],
        "steps": [1] * len(axes),
    }
    limits = [constant(model, f"{name}.{k}", np.array(v, np.int64)) for k, v in numbers.items()]
    put(node, "Slice", [whole, *limits])
    made = whole.producer()
    assert made is not None, "it was just inserted"
    return made
