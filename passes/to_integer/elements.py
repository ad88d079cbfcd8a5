"""Unary functions, gates, sums and clips: element by element, one rounding each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgegate.graph import GATE, array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import (
    WIDTH,
    dtype_of,
    match,
    multipliers,
    output_attributes,
    rescale,
    saturating,
)
from edgegate.quant.fixed_point import fixed_pair
from edgegate.quant.given import reach_of
from edgegate.quant.multiples import factor, multiple
from edgegate.quant.scalar_ops import scalar_function
from edgegate.quant.sharing import GATE as DOMAIN_OF_GATES
from edgegate.quant.storage import Storage, narrowed
from edgegate.quant.tables import entries, knots


def unary(lowering: Lowering, node: ir.Node) -> None:
    """Any scalar function, by table."""
    function = scalar_function(lowering.model, node)
    if function is None:
        raise NotLowerable(f"{node.op_type} is not a function of one number", "no table can hold it")
    output = node.outputs[0]
    wanted, name = lowering.storage(output), str(output.name)
    x, target = lowering.stored(node.inputs[0]), narrowed(wanted)
    by = factor(lowering.model, node)
    if by is not None and multiple(x.storage, by) == wanted:
        return lowering.keep(output, Stored(value=x.value, storage=wanted, order=x.order))
    if WIDTH[x.storage.dtype] == 8:
        table = lowering.constant(f"{name}.table", entries(function, x.storage, target, name=node.op_type))
        offset = {"offset": -x.storage.low}
        value = lowering.emit("Table", [x.value, table], name, dtype_of(target), x.dims, offset)
    else:
        data, scale = knots(function, x.storage, target, name=node.op_type)
        table = lowering.constant(f"{name}.table", data)
        wide = lowering.emit("Table16", [x.value, table], f"{name}.wide", ir.DataType.INT32, x.dims)
        value = rescale(lowering, wide, x.dims, [Fraction(scale) / 128 / Fraction(target.scale)], target, name)
    lowering.keep(output, match(lowering, Stored(value=value, storage=target, order=x.order), wanted, name))


def operands(lowering: Lowering, node: ir.Node, *, whole: bool = False) -> tuple[Stored, Stored]:
    """Two operands of one rank and one order of axes; the larger one's order is taken. ``whole``: 24 bits too."""
    a, b = (lowering.stored(v, whole=whole) for v in node.inputs[:2])
    if len(a.order) != len(b.order):
        rank = max(len(a.order), len(b.order))
        a, b = (raised(lowering, s, rank) for s in (a, b))
    if np.prod(a.dims) >= np.prod(b.dims):
        return a, lowering.reorder(b, a.order) if b.order != a.order else b
    return lowering.reorder(a, b.order) if a.order != b.order else a, b


def raised(lowering: Lowering, x: Stored, rank: int) -> Stored:
    """``x`` with leading axes of size one, as broadcasting has it."""
    missing = rank - len(x.order)
    if not missing:
        return x
    flat = lowering.reorder(x, tuple(range(len(x.order)))) if x.order != tuple(range(len(x.order))) else x
    dims = (1,) * missing + flat.dims
    target = lowering.ints("dims", dims)
    value = lowering.emit(
        "Reshape", [flat.value, target], f"{flat.value.name}.raised", dtype_of(x.storage), dims, {"allowzero": 0},
        domain="",
    )  # fmt: skip
    return Stored(value=value, storage=x.storage, order=tuple(range(rank)))


def result_dims(node: ir.Node, order: tuple[int, ...]) -> list[int]:
    """The shape of the node's output, in stored order."""
    dims = shape(node.outputs[0])
    return [dims[a] for a in order]


def gate(lowering: Lowering, node: ir.Node) -> None:
    """Lower value * gate to one gated product, which says of itself what gate it is."""
    value, gate_ = operands(lowering, node, whole=True)
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    scale = Fraction(value.storage.scale) * Fraction(gate_.storage.scale) / Fraction(target.scale)
    attributes = {
        "value_zero_point": value.storage.zero_point,
        "gate_zero_point": gate_.storage.zero_point,
        **output_attributes(target),
    }
    bits = 15 if "int32" in (value.storage.dtype, gate_.storage.dtype) else 31
    inputs = [value.value, gate_.value, *multipliers(lowering, name, [scale], bits)]
    dims = result_dims(node, value.order)
    result = lowering.emit("GatedProduct", inputs, name, dtype_of(target), dims, attributes)
    if node.domain == DOMAIN_OF_GATES:
        lowering.nodes[-1].metadata_props[GATE] = _said(node)
    lowering.keep(output, Stored(value=result, storage=target, order=value.order))


def _said(node: ir.Node) -> str:
    """What the float passes found out about a gate, as JSON."""
    said = {key: str(attribute(node, key, "")) for key in ("family", "activation", "value_activation")}
    return json.dumps({"kind": node.op_type, **said}, sort_keys=True, separators=(",", ":"))


def add(lowering: Lowering, node: ir.Node) -> None:
    """The sum or difference of two activations."""
    a, b = operands(lowering, node, whole=True)
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    sign = -1 if node.op_type == "Sub" else 1
    ratios = [Fraction(s.storage.scale) / Fraction(target.scale) for s in (a, b)]
    wide = max(WIDTH[a.storage.dtype], WIDTH[b.storage.dtype]) > 8
    if max(ratios) > (1 << 28 if wide else 1 << 18) and WIDTH[target.dtype] <= 16:
        # One step of that input alone is past the ends of the output, whatever the other is within them.
        ratios = [min(r, Fraction(2 << WIDTH[target.dtype])) for r in ratios]
    try:
        first, second, shift = fixed_pair(ratios[0], sign * ratios[1], **({"bits": 30} if wide else {}))
    except ValueError as e:
        raise NotLowerable(str(e), "its inputs' and output's ranges differ too much; keep them in int16") from e
    attributes = {
        "a_zero_point": a.storage.zero_point,
        "b_zero_point": b.storage.zero_point,
        "a_multiplier": first,
        "b_multiplier": second,
        "shift": shift,
        **output_attributes(target),
    }
    dims = result_dims(node, a.order)
    value = lowering.emit("Add", [a.value, b.value], name, dtype_of(target), dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=a.order))


def extremum(lowering: Lowering, node: ir.Node) -> None:
    """Max or Min of two activations, in the output's storage."""
    a, b = operands(lowering, node)
    output = node.outputs[0]
    target, name = lowering.storage(output), str(output.name)
    dims = result_dims(node, a.order)
    if target.dtype == "int16":
        value = _wide_choice(lowering, node.op_type, (), (a, b), target, dims, name)
        return lowering.keep(output, Stored(value=value, storage=target, order=a.order))
    left, right = (match(lowering, s, target, f"{name}.{side}") for s, side in ((a, "left"), (b, "right")))
    value = lowering.emit(node.op_type, [left.value, right.value], name, dtype_of(target), dims, domain="")
    return lowering.keep(output, Stored(value=value, storage=target, order=a.order))


def where(lowering: Lowering, node: ir.Node) -> None:
    """Where, both sides in the output's storage; the condition is constant, or bools made before.

    The axes stay in the order of the larger side.
    """
    output = node.outputs[0]
    target, name, rank = lowering.storage(output), str(output.name), len(shape(output))
    sides = [raised(lowering, lowering.stored(v), rank) for v in node.inputs[1:]]
    order = max(sides, key=lambda s: int(np.prod(s.dims))).order
    sides = [lowering.reorder(s, order) if s.order != order else s for s in sides]
    condition, dims = _condition(lowering, node, order), result_dims(node, order)
    if target.dtype == "int16":
        value = _wide_choice(lowering, "Where", [condition], sides, target, dims, name)
        return lowering.keep(output, Stored(value=value, storage=target, order=order))
    left, right = (match(lowering, s, target, f"{name}.{i}") for i, s in enumerate(sides))
    value = lowering.emit("Where", [condition, left.value, right.value], name, dtype_of(target), dims, domain="")
    return lowering.keep(output, Stored(value=value, storage=target, order=order))


def _condition(lowering: Lowering, node: ir.Node, order: tuple[int, ...]) -> ir.Value:
    """The bools that a Where picks by, axes in ``order``."""
    source = node.inputs[0]
    assert source is not None, "Where has a condition"
    data = array(source)
    if data is not None:
        whole = data.reshape((1,) * (len(order) - data.ndim) + data.shape)
        return lowering.constant(f"{node.outputs[0].name}.condition", whole.transpose(order))
    if source not in lowering.known or lowering.known[source].value.dtype != ir.DataType.BOOL:
        raise NotLowerable("its condition is computed at run time", "make it a constant of the model, or a hard gate")
    bools = raised(lowering, lowering.stored(source), len(order))
    return (lowering.reorder(bools, order) if bools.order != order else bools).value


def _wide_choice(
    lowering: Lowering, op_type: str, first: Sequence[ir.Value], sides: Sequence[Stored], target: Storage,
    dims: Sequence[int], name: str,
) -> ir.Value:  # fmt: skip
    """Max, Min or Where in the int16 storage ``target``, chosen in int32: ONNX Runtime has none of them in int16."""
    wide = {**output_attributes(target), "to": ir.DataType.INT32.value}
    inputs = list(first)
    for x, side in zip(sides, ("left", "right"), strict=True):
        part = [x.value, *multipliers(lowering, f"{name}.{side}", [saturating(x.storage, target)])]
        attributes = {"input_zero_point": x.storage.zero_point, **wide}
        inputs.append(lowering.emit("Rescale", part, f"{name}.{side}", ir.DataType.INT32, x.dims, attributes))
    both = lowering.emit(op_type, inputs, f"{name}.wide", ir.DataType.INT32, dims, domain="")
    return rescale(lowering, both, dims, [Fraction(1)], target, name)


def clip(lowering: Lowering, node: ir.Node) -> None:
    """Relu or Clip as a Rescale with narrower bounds; a later pass folds it into what is before it."""
    low, high = 0.0, float("inf")
    if node.op_type == "Clip":
        ends = [array(v) for v in (*node.inputs[1:], None, None)][:2]
        low, high = (float(e) if e is not None else d for e, d in zip(ends, (-float("inf"), high), strict=True))
    _clipped(lowering, node, low, high)


def fake_quantize(lowering: Lowering, node: ir.Node) -> None:
    """What the model stores its input as: nothing to do where it is stored so already, and nothing is clipped."""
    x, target, (low, high) = lowering.stored(node.inputs[0]), lowering.storage(node.outputs[0]), reach_of(node)
    if x.storage == target and bounds_of(target, low, high) == (target.low, target.high):
        return lowering.keep(node.outputs[0], x)
    return _clipped(lowering, node, low, high)


def _clipped(lowering: Lowering, node: ir.Node, low: float, high: float) -> None:
    """The node's input in its output's storage, between real bounds."""
    output = node.outputs[0]
    x = lowering.stored(node.inputs[0], whole=True)
    target, name = lowering.storage(output), str(output.name)
    least, most = bounds_of(target, low, high)
    attributes = {"input_zero_point": x.storage.zero_point, **output_attributes(target), "low": least, "high": most}
    scale = Fraction(x.storage.scale) / Fraction(target.scale)
    value = lowering.emit(
        "Rescale", [x.value, *multipliers(lowering, name, [scale])], name, dtype_of(target), x.dims, attributes
    )  # fmt: skip
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def bounds_of(storage: Storage, low: float, high: float) -> tuple[int, int]:
    """The stored values nearest to real bounds, which may be infinite."""
    least, most = storage.quantize(np.array([low, high]))
    return int(least), int(most)
