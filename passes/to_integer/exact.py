"""Bools and integers of the model itself: tokens, places, masks. What is computed of them is exact.

What is known of their range travels with them (:class:`~edgegate.passes.to_integer._storages.Exact`), so that an
index is only brought into its axis where it could leave it. Integers from outside may be anything: before any
arithmetic they are cut to 32 bits, which no sum or product of two then takes past 64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Wide
from edgegate.passes.to_integer._scaling import match, rescale
from edgegate.passes.to_integer._storages import TYPES, Exact
from edgegate.passes.to_integer.elements import operands, raised, result_dims

LIMIT = 1 << 31
"""Integers are cut to what int32 holds before they are added or multiplied."""
ANSWERS = 1 << 16
"""Most values of an integer that is divided."""
DTYPES = {name: kind for kind, name in TYPES.items()}
ENDS: dict[str, Callable[[int, int], int]] = {
    "Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b, "Max": max, "Min": min,
}  # fmt: skip
"""What the arithmetic does to the ends of ranges."""


def keep(lowering: Lowering, node: ir.Node, value: ir.Value, order: Sequence[int], least: int, most: int) -> None:
    """Declare an exact result that lies in [least, most]."""
    output = node.outputs[0]
    assert output.dtype is not None, "every value has a type"
    storage = Exact(dtype=TYPES[output.dtype], least=least, most=most)
    lowering.keep(output, Stored(value=value, storage=storage, order=tuple(order)))


def number(lowering: Lowering, x: Stored, value: int) -> ir.Value:
    """A constant of the type of ``x``."""
    return lowering.constant(f"{x.value.name}.{value}", np.array(value, x.storage.dtype))


def within(lowering: Lowering, x: Stored, least: int, most: int) -> Stored:
    """``x`` cut to [least, most]; itself where it lies in it."""
    value, kind = x.value, DTYPES[x.storage.dtype]
    for op, end, leaves in (("Max", least, x.storage.low < least), ("Min", most, x.storage.high > most)):
        if leaves:
            value = lowering.emit(op, [value, number(lowering, x, end)], f"{value.name}.cut", kind, x.dims, domain="")
    reach = {"least": max(x.storage.low, least), "most": min(x.storage.high, most)}
    return replace(x, value=value, storage=Exact(dtype=x.storage.dtype, **reach))


def arithmetic(lowering: Lowering, node: ir.Node) -> None:
    """Add, Sub, Mul, Max or Min of two integers."""
    a, b = (within(lowering, x, -LIMIT, LIMIT - 1) for x in operands(lowering, node))
    ends = [ENDS[node.op_type](x, y) for x in (a.storage.low, a.storage.high) for y in (b.storage.low, b.storage.high)]
    if a.storage.dtype == "int32" and not -LIMIT <= min(ends) <= max(ends) < LIMIT:
        raise NotLowerable(f"it may reach {max(map(abs, ends))}, past int32", "compute with int64")
    name, output = str(node.outputs[0].name), node.outputs[0]
    assert output.dtype is not None, "every value has a type"
    dims = result_dims(node, a.order)
    value = lowering.emit(node.op_type, [a.value, b.value], name, output.dtype, dims, domain="")
    keep(lowering, node, value, a.order, min(ends), max(ends))


def quotient(lowering: Lowering, node: ir.Node) -> None:
    """Div or Mod of an integer by a constant: one of as many answers as it has values."""
    by, output = array(node.inputs[1]), node.outputs[0]
    if by is None or by.size != 1 or not by.any():
        raise NotLowerable("its divisor is computed at run time", "divide by a constant")
    x = lowering.stored(node.inputs[0])
    least, most = x.storage.low, x.storage.high
    if most - least >= ANSWERS:
        raise NotLowerable(f"it lies anywhere in [{least}, {most}]", f"clip it to less than {ANSWERS} values before")
    values, divisor = np.arange(least, most + 1), int(by.reshape(-1)[0])
    if node.op_type == "Div":  # which cuts towards zero
        found = np.sign(values) * np.sign(divisor) * (abs(values) // abs(divisor))
    else:
        found = np.fmod(values, divisor) if attribute(node, "fmod", 0) else np.mod(values, divisor)
    assert output.dtype is not None and x.value.dtype is not None, "every value has a type"
    index, name = x.value, str(output.name)
    if least:
        start = number(lowering, x, least)
        index = lowering.emit("Sub", [index, start], f"{name}.index", x.value.dtype, x.dims, domain="")
    table = lowering.constant(f"{name}.answers", found.astype(x.storage.dtype))
    value = lowering.emit("Gather", [table, index], name, output.dtype, x.dims, {"axis": 0}, domain="")
    keep(lowering, node, value, x.order, int(found.min()), int(found.max()))


def clip(lowering: Lowering, node: ir.Node) -> None:
    """Clip of integers between constants."""
    x, ends = lowering.stored(node.inputs[0]), [array(v) for v in (*node.inputs[1:], None, None)][:2]
    if any(v is not None and data is None for v, data in zip(node.inputs[1:], ends, strict=False)):
        raise NotLowerable("its bounds are computed at run time", "make them constants of the model")
    least, most = (
        e if d is None else int(d.reshape(-1)[0]) for d, e in zip(ends, (x.storage.low, x.storage.high), strict=True)
    )
    cut = within(lowering, x, least, most)
    keep(lowering, node, cut.value, x.order, cut.storage.low, cut.storage.high)


def compare(lowering: Lowering, node: ir.Node) -> None:
    """A comparison of two integers or bools, or of two numbers, which are brought to one fine scale before."""
    constants = [array(v) for v in node.inputs]
    if node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.FLOAT:
        if any(data is not None for data in constants):
            a, b = _with_constant(lowering, node)
        else:
            a, b = _at_one_scale(lowering, *operands(lowering, node, whole=True))
    else:
        a, b = operands(lowering, node)
    name, dims = str(node.outputs[0].name), result_dims(node, a.order)
    kind = "Xor" if a.storage.dtype == "bool" else node.op_type  # TVM compares bools as floats, which no LLVM does
    value = lowering.emit(kind, [a.value, b.value], name, ir.DataType.BOOL, dims, domain="")
    if kind == "Xor":
        value = lowering.emit("Not", [value], f"{name}.same", ir.DataType.BOOL, dims, domain="")
    keep(lowering, node, value, a.order, 0, 1)


def _with_constant(lowering: Lowering, node: ir.Node) -> tuple[Stored, Stored]:
    """A value and the constant in its storage, which is the nearest that it can be equal to."""
    if node.op_type != "Equal":
        raise NotLowerable("it compares with what no threshold can hold", "compare with one finite number")
    place = 1 if array(node.inputs[1]) is not None else 0
    x, data = lowering.stored(node.inputs[1 - place]), array(node.inputs[place])
    assert data is not None, "one side is a constant"
    flat = raised(lowering, x, max(len(x.order), data.ndim))
    flat = lowering.reorder(flat, tuple(range(len(flat.order))))
    held = lowering.constant(f"{node.outputs[0].name}.constant", x.storage.quantize(data))
    return flat, Stored(value=held, storage=x.storage, order=tuple(range(data.ndim)))


def _at_one_scale(lowering: Lowering, a: Stored, b: Stored) -> tuple[Stored, Stored]:
    """Both in int32, in steps of 2**-12 of the coarser one: 17 bits, which all of its type have, then fit."""
    if a.storage == b.storage:
        return a, b
    fine = Wide(scale=max(a.storage.scale, b.storage.scale) / (1 << 12), reach=1 << 30)
    first, second = (match(lowering, x, fine, f"{x.value.name}.compared") for x in (a, b))
    return first, second


def boolean(lowering: Lowering, node: ir.Node) -> None:
    """And, Or, Xor, Not."""
    parts = operands(lowering, node) if len(node.inputs) > 1 else (lowering.stored(node.inputs[0]),)
    name, dims = str(node.outputs[0].name), result_dims(node, parts[0].order)
    value = lowering.emit(node.op_type, [p.value for p in parts], name, ir.DataType.BOOL, dims, domain="")
    keep(lowering, node, value, parts[0].order, 0, 1)


def cast(lowering: Lowering, node: ir.Node) -> None:
    """Cast between integers and bools, and from them to numbers; a number that is cast is true unless it is zero."""
    x, output = lowering.stored(node.inputs[0]), node.outputs[0]
    if output.dtype == ir.DataType.FLOAT:
        return _real(lowering, node, x)
    if not isinstance(x.storage, Exact):
        return _from_real(lowering, node, x)
    assert output.dtype is not None, "every value has a type"
    truth = output.dtype == ir.DataType.BOOL
    x = x if truth or output.dtype == ir.DataType.INT64 else within(lowering, x, -LIMIT, LIMIT - 1)
    value = lowering.emit("Cast", [x.value], str(output.name), output.dtype, x.dims, {"to": output.dtype}, domain="")
    least, most = (0, 1) if truth else (x.storage.low, x.storage.high)
    return keep(lowering, node, value, x.order, least, most)


def _real(lowering: Lowering, node: ir.Node, x: Stored) -> None:
    """An integer as a number: bools keep their byte, others are rescaled."""
    output, name = node.outputs[0], str(node.outputs[0].name)
    target = lowering.storage(output)
    kind = ir.DataType.UINT8 if x.storage.dtype == "bool" else ir.DataType.INT32
    if not isinstance(x.storage, Exact):
        raise NotLowerable("it turns a number into a number", "leave it out")
    x = within(lowering, x, floor(target.real_low), ceil(target.real_high))
    value = lowering.emit("Cast", [x.value], f"{name}.whole", kind, x.dims, {"to": kind}, domain="")
    if x.storage.dtype != "bool" or target.dtype != "uint8" or target.scale != 1.0:
        value = rescale(lowering, value, x.dims, [1 / Fraction(target.scale)], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=x.order))


def _from_real(lowering: Lowering, node: ir.Node, x: Stored) -> None:
    output = node.outputs[0]
    if output.dtype != ir.DataType.BOOL:
        raise NotLowerable("it cuts a number to an integer", "compare it with thresholds, or keep it a number")
    zero = lowering.constant(f"{output.name}.zero", np.array(x.storage.zero_point, x.storage.dtype))
    same = lowering.emit("Equal", [x.value, zero], f"{output.name}.zero", ir.DataType.BOOL, x.dims, domain="")
    value = lowering.emit("Not", [same], str(output.name), ir.DataType.BOOL, x.dims, domain="")
    keep(lowering, node, value, x.order, 0, 1)


def where(lowering: Lowering, node: ir.Node) -> None:
    """Where between integers, or between bools, which ONNX Runtime picks with And and Or."""
    output, dims = node.outputs[0], shape(node.outputs[0])
    order = tuple(range(len(dims)))
    parts = [raised(lowering, lowering.stored(v), len(dims)) for v in node.inputs]
    test, a, b = (lowering.reorder(p, order) if p.order != order else p for p in parts)
    assert output.dtype is not None, "every value has a type"
    name, kind = str(output.name), output.dtype
    if kind != ir.DataType.BOOL:
        value = lowering.emit("Where", [test.value, a.value, b.value], name, kind, dims, domain="")
        least, most = min(a.storage.low, b.storage.low), max(a.storage.high, b.storage.high)
        return keep(lowering, node, value, order, least, most)
    other = lowering.emit("Not", [test.value], f"{name}.else", kind, test.dims, domain="")
    sides = [
        lowering.emit("And", [c, x.value], f"{name}.side", kind, np.broadcast_shapes(test.dims, x.dims), domain="")
        for c, x in ((test.value, a), (other, b))
    ]
    return keep(lowering, node, lowering.emit("Or", sides, name, kind, dims, domain=""), order, 0, 1)


def cum_sum(lowering: Lowering, node: ir.Node) -> None:
    """CumSum of integers, in 48 bits."""
    axis, output = array(node.inputs[1]), node.outputs[0]
    if axis is None:
        raise NotLowerable("its axis is computed at run time", "use a constant axis")
    x = within(lowering, lowering.stored(node.inputs[0]), -LIMIT, LIMIT - 1)
    at = x.axis(int(axis.reshape(-1)[0]))
    ends = [x.dims[at] * e for e in (min(x.storage.low, 0), max(x.storage.high, 0))]
    if x.storage.dtype == "int32" and not -LIMIT <= ends[0] <= ends[1] < LIMIT:
        raise NotLowerable(f"it may reach {max(map(abs, ends))}, past int32", "compute with int64")
    ways = {key: int(attribute(node, key, 0)) for key in ("exclusive", "reverse")}
    inputs = [x.value, lowering.constant(f"{output.name}.axis", np.array(at, np.int64))]
    value = lowering.emit("CumSum", inputs, str(output.name), DTYPES[x.storage.dtype], x.dims, ways, domain="")
    keep(lowering, node, value, x.order, *ends)


def total(lowering: Lowering, node: ir.Node) -> None:
    """ReduceSum of integers: the last running sum along each axis."""
    given, output = array(node.inputs[1]) if len(node.inputs) > 1 else None, node.outputs[0]
    x = within(lowering, lowering.stored(node.inputs[0], whole=True), -LIMIT, LIMIT - 1)
    x = lowering.reorder(x, tuple(range(len(x.order))))
    over = range(len(x.dims)) if given is None else [int(a) % len(x.dims) for a in given.reshape(-1)]
    name, kind, (low, high) = str(output.name), DTYPES[x.storage.dtype], (x.storage.low, x.storage.high)
    value, dims = x.value, list(x.dims)
    for axis in over:
        low, high = dims[axis] * min(low, 0), dims[axis] * max(high, 0)
        inputs = [value, lowering.constant(f"{name}.axis", np.array(axis, np.int64))]
        ways = {"exclusive": 0, "reverse": 0}
        value = lowering.emit("CumSum", inputs, f"{name}.running", kind, dims, ways, domain="")
        last = lowering.ints(f"{name}.last", [dims[axis] - 1])
        dims[axis] = 1
        value = lowering.emit("Gather", [value, last], f"{name}.sum", kind, dims, {"axis": axis}, domain="")
    made = shape(output)
    inputs = [value, lowering.ints(f"{name}.dims", made)]
    value = lowering.emit("Reshape", inputs, name, kind, made, {"allowzero": 0}, domain="")
    keep(lowering, node, value, range(len(made)), low, high)
