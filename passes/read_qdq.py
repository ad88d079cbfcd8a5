"""Quantizers that the model brings along: what they say is kept, to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, Array, array, attribute, constant, matches, replace, where
from edgegate.passes._functions import declare
from edgegate.passes._given_blocks import read_blocks
from edgegate.passes._quantized_constants import Unfit, dequantize, spread
from edgegate.passes._rewrite import put
from edgegate.quant.storage import Storage

STORED_AS = {
    "int8": "int8", "uint8": "uint8", "int16": "int16", "int4": "int8", "uint4": "uint8", "int2": "int8",
    "uint2": "uint8",
}  # fmt: skip
"""The storage type that holds each type of a quantized activation."""
NARROW = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
"""Ranges of the types that numpy does not have."""
_QUANTIZE_AGAIN = "quantize it with one fixed scale, calibrated before the export"


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """What QuantizeLinear, a Clip maybe, and DequantizeLinear in a row say of a value.

    Attributes:
        source: What is quantized.
        storage: Type, scale and zero point.
        low: Least stored value that is used.
        high: Greatest stored value that is used.
    """

    source: ir.Value
    storage: Storage
    low: int
    high: int


def read_qdq(model: ir.Model) -> None:
    """Take QuantizeLinear, Clip and DequantizeLinear out of the graph, and keep what they say.

    Constants become the float numbers that they mean; a layer whose weights they are carries their grid (bits
    and scales) as metadata, and its weights will be stored as the integers that they were. Activations pass an
    ``edgegate.FakeQuantize`` instead, whose storage is given: nothing is calibrated there.

    Raises:
        CompileError: With every quantizer that integers of this compiler cannot follow exactly: a scale that is
            computed at run time, not finite, not positive, or one per channel of an activation; a zero point on
            int16; weights past [-127, 127]; integers that no quantizer made.
    """
    problems = []
    for node in matches(model, "DequantizeLinear"):
        try:
            _read(model, node)
        except Unfit as error:
            problems.append(Problem(where=where(node), what=error.what, fix=error.fix))
    _drop_read(model)
    problems += read_blocks(model)
    if not problems:
        problems = [
            Problem(where=where(n), what="its integers are not dequantized", fix="follow it with a DequantizeLinear")
            for n in matches(model, "QuantizeLinear")
        ]
    if problems:
        raise CompileError.of(problems)


def _read(model: ir.Model, node: ir.Node) -> None:
    """Put a constant, or a FakeQuantize, in the place of one DequantizeLinear."""
    stored = array(node.inputs[0])
    if stored is None:
        stored = _constant_behind(node)
    if stored is not None:
        return dequantize(model, node, stored, *_parameters(node))
    found = _quantizer(node)
    declare(model, DOMAIN, "FakeQuantize")
    name, storage = str(node.outputs[0].name), found.storage
    ends = ((end - storage.zero_point) * np.float32(storage.scale) for end in (found.low, found.high))
    inputs = [
        constant(model, f"{name}.scale", np.array(storage.scale, np.float32)),
        constant(model, f"{name}.zero_point", np.array(storage.zero_point, storage.dtype)),
        *(constant(model, f"{name}.end", np.array(end, np.float32)) for end in ends),
    ]
    attributes = {"low": found.low, "high": found.high}
    put(node, "FakeQuantize", [found.source, *inputs], attributes, domain=DOMAIN)
    return None


def _chain(node: ir.Node) -> tuple[ir.Node, ir.Node | None]:
    """The QuantizeLinear before a DequantizeLinear, and the Clip between them."""
    before = None if node.inputs[0] is None else node.inputs[0].producer()
    clip = before if before is not None and before.op_type == "Clip" and not before.domain else None
    if clip is not None:
        before = None if clip.inputs[0] is None else clip.inputs[0].producer()
    if before is None or before.op_type != "QuantizeLinear" or before.domain:
        made = "the graph's input" if before is None else f"{before.op_type}"
        raise Unfit(f"its integers come from {made}, not from a QuantizeLinear", "quantize a float value there")
    return before, clip


def _constant_behind(node: ir.Node) -> Array | None:
    """The integers of a constant that is quantized in the graph (by QuantizeLinear's rule), else None."""
    try:
        before, clip = _chain(node)
    except Unfit:
        return None
    real = array(before.inputs[0])
    if real is None:
        return None
    scale, zero_point = _parameters(before)
    kind = _stored_type(before)
    wide, offset = (spread(before, part, real.shape) for part in (scale, zero_point))
    stored = np.rint(real.astype(np.float32) / wide.astype(np.float32)) + offset  # half to even, as ONNX says
    return np.asarray(np.clip(stored, *_limits(kind, clip)).astype(np.int64))


def _quantizer(node: ir.Node) -> Quantizer:
    before, clip = _chain(node)
    (scale, zero_point), own = _parameters(before), _parameters(node)
    source, kind = before.inputs[0], _stored_type(before)
    assert source is not None, "QuantizeLinear has an input"
    if not (np.array_equal(scale, own[0]) and np.array_equal(zero_point, own[1])):
        raise Unfit("dequantizes with another scale or zero point than it quantizes with", "make them one")
    if len(np.unique(scale)) > 1 or len(np.unique(zero_point)) > 1:
        raise Unfit(f"has {scale.size} scales or zero points for an activation", "quantize it with one scale")
    if kind not in STORED_AS:
        raise Unfit(f"stores an activation as {kind}", f"choose one of {', '.join(STORED_AS)}")
    try:
        dtype = STORED_AS[kind]
        storage = Storage(dtype=dtype, scale=float(scale.flat[0]), zero_point=int(zero_point.flat[0]))
    except ValueError as error:
        raise Unfit(f"cannot be stored: {error}", "choose another scale or zero point") from error
    low, high = _limits(kind, clip)
    return Quantizer(source=source, storage=storage, low=low, high=high)


def _limits(kind: str, clip: ir.Node | None) -> tuple[int, int]:
    """The least and the greatest stored value, of the type and of the Clip behind it."""
    low, high = NARROW[kind] if kind in NARROW else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    ends = [] if clip is None else [*clip.inputs[1:], None, None][:2]
    for index, value in enumerate(ends):
        end = array(value)
        if value is not None and (end is None or end.size != 1):
            raise Unfit("is clipped to bounds that are computed at run time", "make the bounds constants")
        if end is not None:
            low, high = (max(low, int(end.item())), high) if index == 0 else (low, min(high, int(end.item())))
    if low > high:
        raise Unfit(f"is clipped to [{low}, {high}], which is empty", "give the least bound first")
    return low, high


def _stored_type(node: ir.Node) -> str:
    """The type that a QuantizeLinear makes, as numpy or ONNX call it; its output says it, inferred."""
    given = attribute(node, "output_dtype", 0)
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    kind = ir.DataType(given) if given else ir.DataType.UINT8 if zero_point is None else zero_point.dtype
    assert kind is not None, "a zero point has a type"
    if not kind.is_integer():
        raise Unfit(f"quantizes to {kind.name.lower()}, which is no integer", "quantize to integers")
    return kind.name.lower()


def _parameters(node: ir.Node) -> tuple[Array, Array]:
    """Scale float64 and zero point int64 of a quantizer."""
    scale = array(node.inputs[1])
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    zero_point = np.zeros((), np.int64) if zero is None else array(zero)
    if scale is None or zero_point is None:
        raise Unfit("its scale or zero point is computed at run time", _QUANTIZE_AGAIN)
    wide = scale.astype(np.float64)
    if not (np.isfinite(wide).all() and (wide > 0).all()):
        raise Unfit("its scale is not a finite positive number", "repair the scale, or quantize again")
    if not np.isfinite(zero_point.astype(np.float64)).all():
        raise Unfit("its zero point is not finite", "repair the zero point")
    return wide, zero_point.astype(np.int64)


def _drop_read(model: ir.Model) -> None:
    """Remove the quantizers and clips that nothing reads any more, and the doubles among the new ones."""
    for node in reversed(matches(model, "QuantizeLinear", "Clip")):
        output = node.outputs[0]
        if not output.uses() and not output.is_graph_output():
            model.graph.remove(node, safe=True)
    for node in matches(model, "FakeQuantize", domain=DOMAIN):
        source = node.inputs[0]
        before = None if source is None else source.producer()
        if source is not None and before is not None and _same(before, node) and not node.outputs[0].is_graph_output():
            replace(node, source)


def _same(first: ir.Node, second: ir.Node) -> bool:
    """Whether both are FakeQuantize of one storage and range: the second then changes nothing."""
    alike = (first.domain, first.op_type) == (second.domain, second.op_type)
    return alike and _constants(first) == _constants(second)


def _constants(node: ir.Node) -> list[float]:
    """The scale, the zero point and the bounds of a FakeQuantize."""
    return [float(data) for v in node.inputs[1:] if (data := array(v)) is not None]
