"""Hard gates: the raw accumulator of the layer that makes the logit, compared with an integer.

    scale * (q - zero_point) > bound    where    q > floor(bound / scale + zero_point)

and q >= ceil of the same where equality is enough; both in rational arithmetic, so no tie is decided by a rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, attribute, shape
from edgegate.passes.hard_gates import limits_of
from edgegate.passes.to_integer._lowering import Exact, Lowering, NotLowerable, Stored, Sums
from edgegate.passes.to_integer._scaling import dtype_of
from edgegate.quant.scalar_ops import scalar_function

TRUTH = Exact(dtype="bool", least=0, most=1)
"""How bits are stored: as they are."""
SHAPES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
"""Moves between a layer and its gate that the bits can make as well as the logits."""


def hard_gate(lowering: Lowering, node: ir.Node) -> None:
    """Compare, before any rescale where a layer makes the logit for one limit, else what is stored of it."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a hard gate has a logit"
    bounds, limit = limits_of(node)
    sums = _sums(lowering, source, limit)
    if sums is None:
        if _is_cut(output):
            _check_monotone(lowering, source)
        x = lowering.stored(source, range(len(shape(source))), whole=True)
        sums = Sums(value=_as_int32(lowering, x), scales=(Fraction(x.storage.scale),), order=x.order,
                    zero_point=x.storage.zero_point)  # fmt: skip
    op = "LessOrEqual" if attribute(node, "below", 0) else "Greater"
    strict = bool(attribute(node, "strict", 1))
    integers = _thresholds(sums, bounds, limit, strict)
    thresholds = _constant_or_input(lowering, output, integers)
    bits = lowering.emit(op, [sums.value, thresholds], str(output.name), ir.DataType.BOOL, shape(sums.value), domain="")
    moved = lowering.reorder(Stored(value=bits, storage=TRUTH, order=sums.order), tuple(range(len(sums.order))))
    lowering.keep(output, _shaped(lowering, moved, shape(output), str(output.name)))


def _sums(lowering: Lowering, source: ir.Value, limit: Array) -> Sums | None:
    """The accumulator behind a logit; None if no layer makes it, or its elements have limits of their own."""
    while source not in lowering.sums:
        maker = source.producer()
        if limit.size > 1 or maker is None or maker.domain or maker.op_type not in SHAPES or maker.inputs[0] is None:
            return None
        source = maker.inputs[0]
    found = lowering.sums[source]
    return found if limit.size == 1 or found.order == tuple(range(len(found.order))) else None


def _thresholds(sums: Sums, bounds: Sequence[Fraction], limit: Array, strict: bool) -> Array:
    """The integers that the accumulator is compared with, channels last."""
    dtype = np.int64 if sums.value.dtype == ir.DataType.INT64 else np.int32
    scales = np.empty(len(sums.scales), dtype=object)
    scales[:] = sums.scales
    exact = np.empty(len(bounds), dtype=object)
    exact[:] = bounds
    ratios = exact.reshape(limit.shape or (1,)) / scales + sums.zero_point
    whole = [floor(r) if strict else ceil(r) - 1 for r in ratios.reshape(-1)]
    bits = 48 if dtype is np.int64 else 32
    if worst := [t for t in whole if not -(1 << (bits - 1)) <= t < 1 << (bits - 1)]:
        what = f"its logit would be compared with {worst[0]}, past the int{bits} that sums it: no sample decides it"
        raise NotLowerable(what, "choose a threshold among the logits that occur, or leave the gate out")
    return np.array(whole, dtype).reshape(ratios.shape)


def _is_cut(bit: ir.Value) -> bool:
    """Whether a stage begins by this bit."""
    return any(reader.op_type == "StageGate" for reader, _ in bit.uses())


def _check_monotone(lowering: Lowering, logit: ir.Value) -> None:
    """A cut's logit is not made by a function that rises and falls: moving the threshold must stop more, or fewer."""
    maker = logit.producer()
    function = None if maker is None else scalar_function(lowering.model, maker)
    source = None if maker is None else maker.inputs[0]
    if maker is None or function is None or source is None:
        return
    storage = lowering.storage(source)
    low, high = (storage.scale * (end - storage.zero_point) for end in (storage.low, storage.high))
    steps = np.diff(function(np.linspace(low, high, 4097)))
    if (steps > 0).any() and (steps < 0).any():
        what = f"its logit is made by {maker.op_type}, which rises and falls: no threshold stands for what it lets pass"
        raise NotLowerable(what, "let a layer make the logit, with a sigmoid at most before the comparison")


def _constant_or_input(lowering: Lowering, output: ir.Value, integers: Array) -> ir.Value:
    """The thresholds; the one of a cut is an input of the program, so that it moves without compiling again."""
    name = f"{output.name}.threshold"
    if integers.size > 1 or not _is_cut(output):
        return lowering.constant(name, integers)
    value = ir.Value(name=lowering.unique(name), shape=ir.Shape([1]))
    value.dtype = ir.DataType.from_numpy(integers.dtype)
    lowering.point[value] = int(integers.reshape(()))
    return value


def _as_int32(lowering: Lowering, x: Stored) -> ir.Value:
    if x.value.dtype == ir.DataType.INT32:
        return x.value
    name, kind = f"{x.value.name}.compared", np.iinfo(x.storage.dtype)
    factor = [lowering.constant(f"{name}.{key}", np.array([n], np.int32)) for key, n in
              (("multiplier", 1 << 30), ("shift", 30))]  # fmt: skip
    attributes = {"input_zero_point": 0, "output_zero_point": 0, "low": int(kind.min), "high": int(kind.max),
                  "to": ir.DataType.INT32.value}  # fmt: skip
    return lowering.emit("Rescale", [x.value, *factor], name, ir.DataType.INT32, x.dims, attributes)


def _shaped(lowering: Lowering, x: Stored, dims: tuple[int, ...], name: str) -> Stored:
    if x.dims == dims:
        return x
    target = lowering.ints("dims", dims)
    given = [x.value, target]
    value = lowering.emit("Reshape", given, f"{name}.bits", ir.DataType.BOOL, dims, {"allowzero": 0}, domain="")
    return Stored(value=value, storage=x.storage, order=tuple(range(len(dims))))


def stage_gate(lowering: Lowering, node: ir.Node) -> None:
    """StageGate: the features as they are stored, in the order of axes in which they lie."""
    source, output, bit = node.inputs[0], node.outputs[0], node.inputs[1]
    assert source is not None and bit is not None, "a cut has features and a bit"
    x, name = lowering.stored(source), str(output.name)
    given = [x.value, lowering.known[bit].value]
    value = lowering.emit("StageGate", given, name, dtype_of(x.storage), x.dims)
    lowering.keep(output, Stored(value=value, storage=x.storage, order=x.order))
