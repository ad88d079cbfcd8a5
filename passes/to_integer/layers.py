"""Conv, Linear, MatMul and Affine: integer products in wide accumulators, then one Rescale per output channel."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import integer_bias, rescale
from edgegate.quant.storage import Storage, half_up

CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1)}
"""Orders of axes that convolutions want, by rank."""


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
    ratios = [Fraction(source.scale) * Fraction(s) / Fraction(target.scale) for s in scales.tolist()]
    dims = shape(acc)
    value = rescale(lowering, acc, dims, ratios, target, str(output.name))
    lowering.keep(output, Stored(value=value, storage=target, order=tuple(order)))


def conv(lowering: Lowering, node: ir.Node) -> None:
    """Conv over one or two axes, depthwise or grouped."""
    rank = len(shape(node.outputs[0]))
    if rank not in CHANNELS_LAST:
        raise NotLowerable(f"Conv over {rank - 2} axes has no integer form", "one or two spatial axes are supported")
    order = CHANNELS_LAST[rank]
    x = lowering.stored(node.inputs[0], order)
    weight, scales, bias, bits = weights_of(lowering, node, x.storage)
    group = attribute(node, "group", 1)
    geometry = {k: list(attribute(node, k)) for k in ("pads", "strides", "dilations")}
    channels = x.dims[-1]
    if rank == 4 and bits == 32 and group == channels and group > 1:
        op, attributes = "DepthwiseConv2d", {**geometry, "group": group}
        kernel = weight.reshape(group, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
    elif rank == 4:
        op, attributes = ("Conv2d" if bits == 32 else "Conv2d16x8"), {**geometry, "group": group}
        kernel = weight.transpose(0, 2, 3, 1)
    else:
        op, attributes = "Conv1d", _one_axis(geometry, group)
        kernel = weight.transpose(0, 2, 1)
    if bits == 48 and rank == 3:
        raise NotLowerable("a 1-D convolution has no 16-bit form", "store its input in int8")
    if bits == 32:
        attributes["input_zero_point"] = x.storage.zero_point
    name = str(node.outputs[0].name)
    constants = [lowering.constant(f"{name}.weight", kernel), lowering.constant(f"{name}.bias", bias)]
    dims = [shape(node.outputs[0])[a] for a in order]
    wide = ir.DataType.INT32 if bits == 32 else ir.DataType.INT64
    acc = lowering.emit(op, [x.value, *constants], f"{name}.acc", wide, dims, attributes)
    finish(lowering, node, acc, x.storage, scales, order)


def _one_axis(geometry: dict[str, list[int]], group: int) -> dict[str, Any]:
    """Attributes of Conv1d."""
    return {
        "pads": geometry["pads"], "stride": geometry["strides"], "dilation": geometry["dilations"], "group": group,
    }  # fmt: skip


def linear(lowering: Lowering, node: ir.Node) -> None:
    """Lower x @ W + b over the last float axis."""
    dims = shape(node.outputs[0])
    order = tuple(range(len(dims)))
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


def matmul(lowering: Lowering, node: ir.Node) -> None:
    """The product of two activations."""
    dims = shape(node.outputs[0])
    sides = []
    for value in node.inputs[:2]:
        assert value is not None, "MatMul has two inputs"
        sides.append(lowering.stored(value, tuple(range(len(shape(value))))))
    a, b = sides
    if "int16" in (a.storage.dtype, b.storage.dtype):
        raise NotLowerable("a product of two activations takes 8-bit inputs", "store both in int8")
    name = str(node.outputs[0].name)
    zero = lowering.constant(f"{name}.bias", np.zeros(dims[-1], np.int32))
    zero_points = {"a_zero_point": a.storage.zero_point, "b_zero_point": b.storage.zero_point}
    acc = lowering.emit("MatMul", [a.value, b.value, zero], f"{name}.acc", ir.DataType.INT32, dims, zero_points)
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
    x = lowering.stored(node.inputs[0], order)
    if x.storage.dtype == "int16":
        raise NotLowerable("a per-channel scale takes an 8-bit input", "store its input in int8")
    channels = dims[axis]
    factor, shifted = (np.broadcast_to(d.reshape(-1), (channels,)).astype(np.float64) for d in (gain, offset))
    steps = _steps(factor, shifted, x.storage, lowering.storage(node.outputs[0]))
    weight = half_up(factor / steps).astype(np.int8)
    bias = integer_bias(shifted, x.storage.scale * steps, 32)
    name = str(node.outputs[0].name)
    pixels = x.dims if len(x.dims) == 4 else (1, 1, int(np.prod(x.dims[:-1])), channels)
    value = x.value if len(x.dims) == 4 else _reshape(lowering, x.value, pixels, f"{name}.pixels")
    constants = [
        lowering.constant(f"{name}.weight", weight.reshape(1, 1, channels, 1)),
        lowering.constant(f"{name}.bias", bias),
    ]
    attributes = {
        "pads": [0, 0, 0, 0], "strides": [1, 1], "dilations": [1, 1], "group": channels,
        "input_zero_point": x.storage.zero_point,
    }  # fmt: skip
    acc = lowering.emit(
        "DepthwiseConv2d", [value, *constants], f"{name}.acc", ir.DataType.INT32, pixels, attributes
    )  # fmt: skip
    if len(x.dims) != 4:
        acc = _reshape(lowering, acc, x.dims, f"{name}.sums")
    finish(lowering, node, acc, x.storage, steps, order)


def _steps(factor: Array, offset: Array, source: Storage, target: Storage) -> Array:
    """The scales [C] of an Affine's weights: a 64th of each, but large enough that the bias fits its accumulator."""
    least = np.maximum(np.abs(offset) / source.scale / (1 << 30), target.scale / source.scale / (1 << 20))
    return np.asarray(np.maximum(np.abs(factor) / 64, least))


def _reshape(lowering: Lowering, value: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    assert value.dtype is not None, "stored values have a type"
    target = lowering.ints("dims", dims)
    return lowering.emit("Reshape", [value, target], name, value.dtype, dims, {"allowzero": 0}, domain="")
