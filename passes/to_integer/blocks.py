"""Layers in blocks: the input is quantized block by block as it arrives, and sums run over exponents.

    a, e = BlockQuantize(x)                        x ~ a << e
    y[n] = bias[n] + sum over blocks b of ((sum over k in b of a[k] * w[k, n]) << e[b]) * scale[b, n]

An input of 8 bits whose layer names no format for it needs no quantizing: it is significands with the exponent 0, and
what its zero point adds is a constant of each output channel, which the bias takes off.

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
from edgegate.passes.to_integer._patches import windows
from edgegate.passes.to_integer._scaling import integer_bias
from edgegate.passes.to_integer.moves import _surround as surround
from edgegate.quant.block_weights import integer_blocks
from edgegate.quant.formats import FORMATS, BlockFormat, format_named
from edgegate.quant.storage import BlockStorage

POWER_BITS, FLOAT_BITS, GIVEN_BITS, LEAST_BITS = 10, 14, 31, 4
"""Bits of the weights' integer scales: where they are powers of two; where they are not; where they are given, and to
be kept exactly if 48 bits can hold the sums; the fewest.

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
    """The names, of each format those of one block size and without its rarer widths."""
    return ", ".join(name for name in names if not re.search(r"_b\d+$|_g(?!32$)|^mxint[2-7]_", name))


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An input in blocks.

    Attributes:
        significands: int8 [..., K'], K' the next multiple of the block.
        exponents: int8 [..., K' / block].
        bounds: What the analysis will know of both.
        zero_point: The significand that means 0.
    """

    significands: ir.Value
    exponents: ir.Value
    bounds: tuple[Interval, ...]
    zero_point: int = 0


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
        significands=windows(lowering, node, found.significands, f"{name}.significands", found.zero_point),
        exponents=windows(lowering, node, found.exponents, f"{name}.exponents"),
    )
    columns = np.moveaxis(weight.reshape(*weight.shape[:2], -1), 1, 2)
    return _sums(lowering, node, storage, x, under, columns)


def quantized(lowering: Lowering, x: Stored, storage: BlockStorage, name: str) -> Quantized:
    """``x``, channels last, in blocks of the format for activations."""
    if storage.activations is None:
        return _as_it_is(lowering, x, format_named(storage.weights).block, name)
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


def _as_it_is(lowering: Lowering, x: Stored, block: int, name: str) -> Quantized:
    """``x`` itself as significands, with the exponent 0: lossless, -128 and zero points included."""
    if x.storage.dtype not in ("int8", "uint8"):
        fix = "name one, as in bfp12:bfp16; or let a quantizer of 8 bits stand before it"
        raise NotLowerable(f"its activations have no block format, and {x.storage.dtype} is none", fix)
    padded = surround(lowering, x, x.order[-1], [0, -x.dims[-1] % block], 0.0, f"{name}.whole")
    value, dims, zero_point = padded.value, padded.dims, x.storage.zero_point
    if x.storage.dtype == "uint8":
        table = lowering.constant(f"{name}.centred", (np.arange(256) - 128).astype(np.int8))
        value = lowering.emit("Table", [value, table], f"{name}.significands", ir.DataType.INT8, dims, {"offset": 0})
        zero_point -= 128
    none = np.zeros((*dims[:-1], dims[-1] // block), np.int8)
    exponents = lowering.constant(f"{name}.exponents", none)
    bounds = (Interval.of_dtype(np.dtype(np.int8)), Interval(low=0, high=0))
    return Quantized(significands=value, exponents=exponents, bounds=bounds, zero_point=zero_point)


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
    most = GIVEN_BITS if storage.scales else POWER_BITS if format_.power_of_two else FLOAT_BITS
    for bits in range(most, LEAST_BITS - 1, -1):
        found = _products(storage, columns, bias, bits, a.zero_point)
        if _sums_fit(a, found, format_.block):
            lift = _lift(found.scales)
            levels = (_lifted(found, np.minimum(lift, most)) for most in (lift.max(), lift.max() // 2, 0))
            return next(level for level in levels if _sums_fit(a, level, format_.block))
    raise NotLowerable("its sums would not fit 48 bits", "store its input in 8 bits, or the layer in int8")


def _sums_fit(a: Quantized, products: Products, block: int) -> bool:
    """Whether 48 bits hold every sum."""
    values = (a.significands, a.exponents)
    inputs = [replace(i, dims=shape(v)) for i, v in zip(a.bounds, values, strict=True)]
    known = [Interval.of(constant) for constant in (products.weights, products.scales, products.bias)]
    try:
        OPS[DOMAIN, "BlockMatMul"].bounds(*inputs, *known, block=block)
    except OverflowError:
        return False
    return True


def _lift(scales: Array) -> Array:
    """By how many bits the greatest scale of each column is shorter than that of all, int64 [N]."""
    bits = np.frexp(scales.max(axis=0).astype(np.float64))[1].astype(np.int64)
    return np.asarray(bits.max() - bits)


def _lifted(products: Products, lift: Array) -> Products:
    """The same numbers in finer units: columns alike, as the rescale takes the widest sum for all of them."""
    return Products(
        weights=products.weights, scales=products.scales << lift.astype(np.int32), bias=products.bias << lift,
        units=np.ldexp(products.units, -lift),
    )  # fmt: skip


def _products(storage: BlockStorage, columns: Array, bias: Array, bits: int, zero_point: int) -> Products:
    """Columns [N, taps, K] as a product's constants, each tap padded to whole blocks.

    The bias is in the input's steps, and less what the zero point adds.
    """
    outputs, taps, channels = columns.shape
    format_ = format_named(storage.weights)
    padded = np.zeros((outputs, taps, channels + -channels % format_.block))
    padded[..., :channels] = columns
    blocks, scales = integer_blocks(storage, padded.reshape(outputs, -1), bits)
    weights = blocks.significands.reshape(outputs, -1).T.astype(np.int8)
    offset = zero_point * (blocks.significands.sum(-1, dtype=np.int64) * scales.multipliers).sum(-1)
    return Products(
        weights=np.ascontiguousarray(weights), scales=np.ascontiguousarray(scales.multipliers.T),
        bias=integer_bias(bias, scales.unit, 48) - offset, units=scales.unit,
    )  # fmt: skip
