"""Layers in blocks: the input is quantized block by block as it arrives, and sums run over exponents.

    a, e = BlockQuantize(x)                        x ~ a << e
    y[n] = bias[n] + sum over blocks b of ((sum over k in b of a[k] * w[k, n]) << e[b]) * scale[b, n]

Weights are stored in their format's own significands. Their scales become integers over one unit per output channel,
so the sum has one real scale per output channel, as that of any other layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.ops import OPS, Interval
from edgegate.ops.block_quantize import OVERFLOWS, ROUNDINGS, RULES
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Wide
from edgegate.passes.to_integer._scaling import integer_bias
from edgegate.passes.to_integer.moves import _surround as surround
from edgegate.quant.block_weights import integer_blocks
from edgegate.quant.formats import FORMATS, BlockFormat, format_named
from edgegate.quant.storage import BlockStorage

POWER_BITS, FLOAT_BITS, LEAST_BITS = 10, 14, 4
"""Bits of the weights' integer scales: where they are powers of two; where they are not; the fewest.

A block whose scale is below what they can say is quantized again, coarser: its step is then 2**-9 of that of the
channel's largest block, which makes the error."""


def fits(format_: BlockFormat) -> bool:
    """Whether the significands fit int8, which integer products take."""
    return format_.element.low >= -128 and format_.element.high <= 127


def reads(format_: BlockFormat) -> bool:
    """Whether an input can be quantized to the format with integers: its scales are powers of two."""
    return fits(format_) and format_.power_of_two and format_.rounding in ROUNDINGS


def integer_formats() -> dict[str, list[str]]:
    """The formats that integer graphs have, for "weights" and for "activations"."""
    found = FORMATS.items()
    return {
        "weights": [name for name, f in found if fits(f)],
        "activations": [name for name, f in found if reads(f)],
    }


def _named(names: Sequence[str]) -> str:
    """The names, of each format those of one block size."""
    return ", ".join(name for name in names if not re.search(r"_b\d+$|_g(?!32$)", name))


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An input in blocks.

    Attributes:
        significands: int8 [..., K'], K' the next multiple of the block.
        exponents: int8 [..., K' / block].
        bounds: What the analysis will know of both.
    """

    significands: ir.Value
    exponents: ir.Value
    bounds: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True)
class Products:
    """The constants of a BlockMatMul.

    Attributes:
        weights: int8 [K, N].
        scales: int32 [K / block, N].
        bias: int64 [N].
        units: float64 [N]: what one step of the sums is, where one of the input's significands is 1.
    """

    weights: Array
    scales: Array
    bias: Array
    units: Array


def linear(lowering: Lowering, node: ir.Node, storage: BlockStorage) -> tuple[ir.Value, Stored, Array]:
    """The sums of a Linear; with its input, and the sums' real scales over the input's."""
    x = lowering.stored(node.inputs[0], range(len(shape(node.outputs[0]))))
    found = quantized(lowering, x, storage, str(node.outputs[0].name))
    return _sums(lowering, node, storage, x, found, _weight(node).T[:, None])


def conv(
    lowering: Lowering, node: ir.Node, storage: BlockStorage, order: Sequence[int]
) -> tuple[ir.Value, Stored, Array]:
    """The sums of a Conv over one or two axes: of the pixels under its kernel, one beside the other."""
    if int(attribute(node, "group", 1)) != 1:
        raise NotLowerable("blocks run along all input channels, and it has groups", "store it in int8")
    x = lowering.stored(node.inputs[0], order)
    name, weight = str(node.outputs[0].name), _weight(node)
    found = quantized(lowering, x, storage, name)
    under = replace(
        found,
        significands=windows(lowering, node, found.significands, f"{name}.significands"),
        exponents=windows(lowering, node, found.exponents, f"{name}.exponents"),
    )
    columns = np.moveaxis(weight.reshape(*weight.shape[:2], -1), 1, 2)
    return _sums(lowering, node, storage, x, under, columns)


def quantized(lowering: Lowering, x: Stored, storage: BlockStorage, name: str) -> Quantized:
    """``x``, channels last, in blocks of the format for activations."""
    if storage.activations is None:
        raise NotLowerable("its activations have no block format", "name one, as in bfp12:bfp16")
    format_ = format_named(storage.activations)
    if not reads(format_):
        have = _named(integer_formats()["activations"])
        raise NotLowerable(f"{storage.activations} activations have no integer form", f"integer graphs have {have}")
    padded = surround(lowering, x, x.order[-1], [0, -x.dims[-1] % format_.block], 0.0, f"{name}.whole")
    dims = padded.dims
    outputs = [
        (f"{name}.significands", ir.DataType.INT8, dims),
        (f"{name}.exponents", ir.DataType.INT8, (*dims[:-1], dims[-1] // format_.block)),
    ]
    attributes = {**block_attributes(format_), "input_zero_point": x.storage.zero_point}
    significands, exponents = lowering.emit_many("BlockQuantize", [padded.value], outputs, attributes)
    known = OPS[DOMAIN, "BlockQuantize"].bounds(_reach(padded), **attributes)
    return Quantized(significands=significands, exponents=exponents, bounds=(known.output, *known.more))


def block_attributes(format_: BlockFormat) -> dict[str, int]:
    """The format as attributes of BlockQuantize."""
    element = format_.element
    return {
        "block": format_.block, "low": element.low, "high": element.high, "digits": element.digits,
        "top": element.top, "rule": RULES[format_.rule], "rounding": ROUNDINGS[format_.rounding],
        "overflow": OVERFLOWS[format_.overflow],
    }  # fmt: skip


def _reach(x: Stored) -> Interval:
    """All that ``x`` may hold."""
    wide = x.storage.reach if isinstance(x.storage, Wide) else None
    low, high = (x.storage.low, x.storage.high) if wide is None else (-wide, wide)
    return Interval(low=low, high=high, dtype=np.dtype(x.storage.dtype), dims=x.dims)


def _weight(node: ir.Node) -> Array:
    found = array(node.inputs[1])
    if found is None or array(node.inputs[2]) is None:
        raise NotLowerable("its weight or bias is computed at run time", "make them constants of the model")
    return found


def _sums(
    lowering: Lowering, node: ir.Node, storage: BlockStorage, x: Stored, a: Quantized, columns: Array
) -> tuple[ir.Value, Stored, Array]:
    """BlockMatMul over [N, taps, K] columns, with the bias at its scale."""
    name, bias = str(node.outputs[0].name), node.inputs[2]
    given = array(bias)
    assert bias is not None and given is not None, "checked with the weights"
    outputs = len(columns)
    whole = np.broadcast_to(given.reshape(-1), (outputs,)).astype(np.float64)
    corrected = whole + np.array(lowering.scheme.biases.get(str(bias.name), 0.0), np.float64)
    found = _fitting(storage, columns, corrected / x.storage.scale, a)
    constants = [lowering.constant(f"{name}.{part}", getattr(found, part)) for part in ("weights", "scales", "bias")]
    dims = (*shape(a.significands)[:-1], outputs)
    attributes = {"block": format_named(storage.weights).block}
    inputs = [a.significands, a.exponents, *constants]
    acc = lowering.emit("BlockMatMul", inputs, f"{name}.acc", ir.DataType.INT64, dims, attributes)
    return acc, x, found.units


def _fitting(storage: BlockStorage, columns: Array, bias: Array, a: Quantized) -> Products:
    """The weights, with scales of as many bits as sums of 48 bits leave room for."""
    format_ = format_named(storage.weights)
    if not fits(format_):
        have = _named(integer_formats()["weights"])
        raise NotLowerable(f"{storage.weights} weights have no integer form", f"integer graphs have {have}")
    product = OPS[DOMAIN, "BlockMatMul"]
    values = (a.significands, a.exponents)
    inputs = [replace(i, dims=shape(v)) for i, v in zip(a.bounds, values, strict=True)]
    for bits in range(POWER_BITS if format_.power_of_two else FLOAT_BITS, LEAST_BITS - 1, -1):
        found = _products(storage, columns, bias, bits)
        known = [Interval.of(constant) for constant in (found.weights, found.scales, found.bias)]
        try:
            product.bounds(*inputs, *known, block=format_.block)
        except OverflowError:
            continue
        return found
    raise NotLowerable("its sums would not fit 48 bits", "store its input in 8 bits, or the layer in int8")


def _products(storage: BlockStorage, columns: Array, bias: Array, bits: int) -> Products:
    """Columns [N, taps, K] as a product's constants, each tap padded to whole blocks; the bias in the input's steps."""
    outputs, taps, channels = columns.shape
    format_ = format_named(storage.weights)
    padded = np.zeros((outputs, taps, channels + -channels % format_.block))
    padded[..., :channels] = columns
    blocks, scales = integer_blocks(storage, padded.reshape(outputs, -1), bits)
    weights = blocks.significands.reshape(outputs, -1).T.astype(np.int8)
    return Products(
        weights=np.ascontiguousarray(weights), scales=np.ascontiguousarray(scales.multipliers.T),
        bias=integer_bias(bias, scales.unit, 48), units=scales.unit,
    )  # fmt: skip


def windows(lowering: Lowering, node: ir.Node, value: ir.Value, name: str) -> ir.Value:
    """A value [N, ..., C] as [N, ..., taps * C]: the pixels under the kernel, zero outside the image."""
    batch, *image, channels = shape(value)
    kernel, out = _weight(node).shape[2:], shape(node.outputs[0])[2:]
    index = taps(node, image, kernel, out)
    pixels, dtype = int(np.prod(image)), value.dtype
    assert dtype is not None, "stored values have a type"
    if np.array_equal(index, np.arange(pixels)):
        return value

    def reshaped(x: ir.Value, dims: Sequence[int], what: str) -> ir.Value:
        target = lowering.ints("dims", dims)
        return lowering.emit("Reshape", [x, target], f"{name}.{what}", dtype, dims, {"allowzero": 0}, domain="")

    flat = reshaped(value, (batch, pixels, channels), "pixels")
    if (index == pixels).any():
        zero = lowering.constant(f"{name}.outside", np.zeros((batch, 1, channels), dtype.numpy()))
        dims = (batch, pixels + 1, channels)
        flat = lowering.emit("Concat", [flat, zero], f"{name}.bordered", dtype, dims, {"axis": 1}, domain="")
    dims = (batch, len(index), channels)
    under = [flat, lowering.constant(f"{name}.taps", index)]
    picked = lowering.emit("Gather", under, f"{name}.picked", dtype, dims, {"axis": 1}, domain="")
    return reshaped(picked, (batch, *out, int(np.prod(kernel)) * channels), "windows")


def taps(node: ir.Node, image: Sequence[int], kernel: Sequence[int], out: Sequence[int]) -> Array:
    """The pixel under each tap of each output pixel, int64 [outputs * taps]; the number of pixels where there is none.

    Pixels and outputs are counted row by row.
    """
    pads, strides, dilations = (list(attribute(node, k)) for k in ("pads", "strides", "dilations"))
    rank = len(kernel)
    index, outside = np.zeros([1] * (2 * rank), np.int64), np.zeros([1] * (2 * rank), np.bool_)
    for axis in range(rank):
        place = np.arange(out[axis])[:, None] * strides[axis] + np.arange(kernel[axis]) * dilations[axis] - pads[axis]
        along = [1] * (2 * rank)
        along[axis], along[rank + axis] = place.shape
        place = place.reshape(along)
        index = index * image[axis] + place
        outside = outside | (place < 0) | (place >= image[axis])
    return np.where(outside, int(np.prod(image)), index).reshape(-1)
