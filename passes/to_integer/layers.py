"""Conv, Linear, MatMul and Affine: integer products in wide accumulators, then one Rescale per output channel."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer import blocks
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Sums
from edgegate.passes.to_integer._scaling import WIDTH, integer_bias, rescale
from edgegate.quant.storage import BlockStorage, Storage, half_up

CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1)}
"""Orders of axes that convolutions want, by rank."""


def in_blocks(lowering: Lowering, node: ir.Node) -> BlockStorage | None:
    """How the scheme stores the layer in blocks; None if it does not."""
    weight = node.inputs[1]
    return None if weight is None else lowering.scheme.blocks.get(str(weight.name))


def weights_of(lowering: Lowering, node: ir.Node, source: Storage) -> tuple[Array, Array, Array, int]:
    """Stored weights, their scales [O], the bias [O] in accumulator steps, and the accumulator's width."""
    weight, bias = array(node.inputs[1]), array(node.inputs[2])
    if weight is None or bias is None:
        raise NotLowerable("its weight or bias is computed at run time", "make them constants of the model")
    names = [str(v.name) for v in node.inputs[1:] if v is not None]
    storage = lowering.scheme.weights.get(names[0])
    if storage is None:
        raise NotLowerable(f"the scheme does not say how {names[0]} is stored", "quantize this model again")
    scales = np.array(storage.scales, np.float64)
    corrected = bias.astype(np.float64) + np.array(lowering.scheme.biases.get(names[1], 0.0), np.float64)
    bits = 48 if source.dtype == "int16" else 32
    return storage.quantize(weight), scales, integer_bias(corrected, source.scale * scales, bits), bits


def finish(
    lowering: Lowering, node: ir.Node, acc: ir.Value, source: Storage, scales: Array, order: Sequence[int]
) -> None:
    """Rescale the accumulator, channels on its last axis, to what the scheme says of the output."""
    output = node.outputs[0]
    target = lowering.storage(output)
    steps = tuple(Fraction(source.scale) * Fraction(s) for s in scales.tolist())
    lowering.sums[output] = Sums(value=acc, scales=steps, order=tuple(order))
    ratios = [step / Fraction(target.scale) for step in steps]
    dims = shape(acc)
    value = rescale(lowering, acc, dims, ratios, target, str(output.name))
    lowering.keep(output, Stored(value=value, storage=target, order=tuple(order)))


def conv(lowering: Lowering, node: ir.Node) -> None:
    """Conv over one or two axes, depthwise or grouped."""
    rank = len(shape(node.outputs[0]))
    if rank not in CHANNELS_LAST:
        raise NotLowerable(f"Conv over {rank - 2} axes has no integer form", "one or two spatial axes are supported")
    order = CHANNELS_LAST[rank]
    if (storage := in_blocks(lowering, node)) is not None:
        acc, x, steps = blocks.conv(lowering, node, storage, order)
        return finish(lowering, node, acc, x.storage, steps, order)
    x = lowering.stored(node.inputs[0], order)
    weight, scales, bias, bits = weights_of(lowering, node, x.storage)
    group = attribute(node, "group", 1)
    geometry = {k: list(attribute(node, k)) for k in ("pads", "strides", "dilations")}
    name, dims = str(node.outputs[0].name), [shape(node.outputs[0])[a] for a in order]
    kernel = np.moveaxis(weight, 1, -1)
    if bits == 48:
        acc = wide_conv(lowering, x.value, kernel, bias, {**geometry, "group": group}, dims, name)
        return finish(lowering, node, acc, x.storage, scales, order)
    if rank == 4 and group == x.dims[-1] and group > 1:
        op, attributes = "DepthwiseConv2d", {**geometry, "group": group}
        kernel = weight.reshape(group, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
    elif rank == 4:
        op, attributes = "Conv2d", {**geometry, "group": group}
    else:
        op, attributes = "Conv1d", _one_axis(geometry, group)
    attributes["input_zero_point"] = x.storage.zero_point
    constants = [lowering.constant(f"{name}.weight", kernel), lowering.constant(f"{name}.bias", bias)]
    acc = lowering.emit(op, [x.value, *constants], f"{name}.acc", ir.DataType.INT32, dims, attributes)
    return finish(lowering, node, acc, x.storage, scales, order)


def wide_conv(
    lowering: Lowering, x: ir.Value, kernel: Array, bias: Array, attributes: dict[str, Any], dims: Sequence[int],
    name: str,
) -> ir.Value:  # fmt: skip
    """A convolution of int16 values; over one axis, it is one over images of height one.

    Args:
        lowering: Takes the nodes.
        x: int16 [N, ..., C], channels last, one or two spatial axes.
        kernel: int8 [O, ..., C / group].
        bias: int64 [O].
        attributes: ``pads``, ``strides`` and ``dilations`` of those axes, and ``group``.
        dims: Shape of the result, int64.
        name: Of the layer.
    """
    given = shape(x)
    flat = len(given) == 3
    if flat:
        n, length, channels = given
        before, after = attributes["pads"]
        x = _reshape(lowering, x, (n, 1, length, channels), f"{name}.line")
        kernel = kernel[:, None]
        attributes = {
            "pads": [0, before, 0, after], "strides": [1, *attributes["strides"]],
            "dilations": [1, *attributes["dilations"]], "group": attributes["group"],
        }  # fmt: skip
    full = (dims[0], 1, *dims[1:]) if flat else tuple(dims)
    constants = [lowering.constant(f"{name}.weight", kernel), lowering.constant(f"{name}.bias", bias)]
    acc = lowering.emit("Conv2d16x8", [x, *constants], f"{name}.acc", ir.DataType.INT64, full, attributes)
    return _reshape(lowering, acc, dims, f"{name}.sums") if flat else acc


def _one_axis(geometry: dict[str, list[int]], group: int) -> dict[str, Any]:
    """Attributes of Conv1d."""
    return {
        "pads": geometry["pads"], "stride": geometry["strides"], "dilation": geometry["dilations"], "group": group,
    }  # fmt: skip


def linear(lowering: Lowering, node: ir.Node) -> None:
    """Lower x @ W + b over the last float axis."""
    dims = shape(node.outputs[0])
    order = tuple(range(len(dims)))
    if (storage := in_blocks(lowering, node)) is not None:
        acc, x, steps = blocks.linear(lowering, node, storage)
        return finish(lowering, node, acc, x.storage, steps, order)
    x = lowering.stored(node.inputs[0], order)
    weight, scales, bias, bits = weights_of(lowering, node, x.storage)
    name = str(node.outputs[0].name)
    constants = [lowering.constant(f"{name}.weight", weight), lowering.constant(f"{name}.bias", bias)]
    if bits == 32:
        zero_points = {"a_zero_point": x.storage.zero_point, "b_zero_point": 0}
        acc = lowering.emit(
            "MatMul", [x.value, *constants], f"{name}.acc", ir.DataType.INT32, dims, zero_points
        )  # fmt: skip
    else:
        acc = lowering.emit("MatMul16x8", [x.value, *constants], f"{name}.acc", ir.DataType.INT64, dims)
    finish(lowering, node, acc, x.storage, scales, order)


NARROW_DEPTH = (1 << 31) // (255 * 255) - 1
"""How many products of centred 8-bit values an int32 holds for certain."""


def matmul(lowering: Lowering, node: ir.Node) -> None:
    """The product of two activations of any widths."""
    dims = shape(node.outputs[0])
    sides = []
    for value in node.inputs[:2]:
        assert value is not None, "MatMul has two inputs"
        sides.append(lowering.stored(value, tuple(range(len(shape(value))))))
    a, b = sides
    name = str(node.outputs[0].name)
    zero_points = {"a_zero_point": a.storage.zero_point, "b_zero_point": b.storage.zero_point}
    if max(WIDTH[s.storage.dtype] for s in sides) == 8 and a.dims[-1] <= NARROW_DEPTH:
        zero = lowering.constant(f"{name}.bias", np.zeros(dims[-1], np.int32))
        acc = lowering.emit("MatMul", [a.value, b.value, zero], f"{name}.acc", ir.DataType.INT32, dims, zero_points)
    else:
        acc = lowering.emit("MatMul16", [a.value, b.value], f"{name}.acc", ir.DataType.INT64, dims, zero_points)
    finish(lowering, node, acc, a.storage, np.array([b.storage.scale]), tuple(range(len(dims))))


def affine(lowering: Lowering, node: ir.Node) -> None:
    """Lower x * scale + bias, one pair per channel, to a depthwise convolution with one tap.

    The scale is stored with 8 bits per channel in its own scale, so it is exact up to the rescale, unless it is
    next to nothing beside the bias.
    """
    gain, offset = array(node.inputs[1]), array(node.inputs[2])
    if gain is None or offset is None:
        raise NotLowerable("its scale or offset is computed at run time", "make them constants of the model")
    dims = shape(node.outputs[0])
    axis = int(attribute(node, "axis"))
    order = (*(a for a in range(len(dims)) if a != axis), axis)
    channels = dims[axis]
    factor, shifted = (np.broadcast_to(d.reshape(-1), (channels,)).astype(np.float64) for d in (gain, offset))
    if lowering.storage(node.outputs[0]).dtype == "int32" and not shifted.any() and (factor >= 0).all():
        return _decay(lowering, node, lowering.stored(node.inputs[0], order, whole=True), factor)
    x = lowering.stored(node.inputs[0], order)
    steps = _steps(factor, shifted, x.storage, lowering.storage(node.outputs[0]))
    weight = half_up(factor / steps).astype(np.int8)
    bias = integer_bias(shifted, x.storage.scale * steps, 48 if x.storage.dtype == "int16" else 32)
    name = str(node.outputs[0].name)
    pixels = x.dims if len(x.dims) == 4 else (1, 1, int(np.prod(x.dims[:-1])), channels)
    value = x.value if len(x.dims) == 4 else _reshape(lowering, x.value, pixels, f"{name}.pixels")
    acc = _per_channel(lowering, value, weight, bias, x.storage.zero_point, name)
    if len(x.dims) != 4:
        acc = _reshape(lowering, acc, x.dims, f"{name}.sums")
    return finish(lowering, node, acc, x.storage, steps, order)


def _decay(lowering: Lowering, node: ir.Node, x: Stored, factor: Array) -> None:
    """A state of 24 bits times a constant for each channel: one Rescale, its 31 bits being those of the constants."""
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    unit = Fraction(x.storage.scale) / Fraction(target.scale)
    scales = [Fraction(f) * unit for f in factor.tolist()]
    value = rescale(lowering, x.value, x.dims, scales, target, name, input_zero_point=x.storage.zero_point)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def _steps(factor: Array, offset: Array, source: Storage, target: Storage) -> Array:
    """The scales [C] of an Affine's weights: a 64th of each, but large enough that the bias fits its accumulator."""
    least = np.maximum(np.abs(offset) / source.scale / (1 << 30), target.scale / source.scale / (1 << 20))
    return np.asarray(np.maximum(np.abs(factor) / 64, least))


def _per_channel(lowering: Lowering, x: ir.Value, weight: Array, bias: Array, zero_point: int, name: str) -> ir.Value:
    """``(x - zero_point) * weight + bias`` with one pair per channel, the last axis of four."""
    dims, channels = shape(x), len(weight)
    attributes: dict[str, Any] = {"pads": [0, 0, 0, 0], "strides": [1, 1], "dilations": [1, 1], "group": channels}
    if x.dtype == ir.DataType.INT16:
        return wide_conv(lowering, x, weight.reshape(channels, 1, 1, 1), bias, attributes, dims, name)
    constants = [
        lowering.constant(f"{name}.weight", weight.reshape(1, 1, channels, 1)),
        lowering.constant(f"{name}.bias", bias),
    ]
    attributes["input_zero_point"] = zero_point
    return lowering.emit(
        "DepthwiseConv2d", [x, *constants], f"{name}.acc", ir.DataType.INT32, dims, attributes
    )  # fmt: skip


def _reshape(lowering: Lowering, value: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    assert value.dtype is not None, "stored values have a type"
    target = lowering.ints("dims", dims)
    return lowering.emit("Reshape", [value, target], name, value.dtype, dims, {"allowzero": 0}, domain="")
