"""Logic gate networks: look-up tables over bits, comparisons that make bits, sums that count them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape
from edgegate.logic import GroupSum, Netlist
from edgegate.ops.logic import layered
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Wide
from edgegate.passes.to_integer._scaling import rescale
from edgegate.quant.bits import BITS, is_compared, is_count
from edgegate.quant.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Counts(Wide):
    """int32 counts on their way to an output: ``real = (stored + beta) / tau``. No scheme says it."""

    tau: float
    beta: float


def lut(lowering: Lowering, node: ir.Node) -> None:
    """Lut, one layer of gates: a network of one level."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    indices, tables = _constants(node)
    emit_netlist(lowering, _bits(lowering, source), layer(shape(source)[-1], indices, tables), output)


def network(lowering: Lowering, node: ir.Node) -> None:
    """Network, gates of many levels: a Logic as it is."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    fanins, tables, _, outputs = _constants(node)
    try:
        netlist = Netlist(
            inputs=shape(source)[-1], fanins=fanins, tables=tables.astype(np.uint64), outputs=outputs
        )  # fmt: skip
    except ValueError as e:
        raise NotLowerable(f"its constants are no network: {e}", "export it again") from e
    emit_netlist(lowering, _bits(lowering, source), netlist, output)


def _constants(node: ir.Node) -> list[Array]:
    """The inputs behind the first."""
    found = [data for v in node.inputs[1:] if (data := array(v)) is not None]
    if len(found) < len(node.inputs) - 1:
        raise NotLowerable("its wiring or its gates are computed at run time", "make them constants of the model")
    return found


def _bits(lowering: Lowering, source: ir.Value) -> ir.Value:
    x = lowering.stored(source, range(len(shape(source))))
    if x.storage != BITS:
        raise NotLowerable(
            f"its input {source.name} is a number stored as {x.storage.dtype}, not a bit",
            "compare it with thresholds first: edgegate.nn.Threshold or Thermometer, or (x > t).float()",
        )
    return x.value


def layer(inputs: int, indices: Array, tables: Array) -> Netlist:
    """The netlist of a Lut.

    Args:
        inputs: Bits that there are.
        indices: int64 [m, k]; negative ones count from the end.
        tables: [m, 2**k] of 0 and 1; entry ``i`` belongs to the address ``i``.
    """
    count, k = indices.shape
    if k > 6 or tables.shape != (count, 1 << k) or not np.isin(tables, (0, 1)).all():
        what = f"indices {list(indices.shape)} and tables {list(tables.shape)} make no gates of up to 6 inputs"
        raise NotLowerable(what, "give [m, k] indices and [m, 2**k] tables of 0 and 1")
    if count and not -inputs <= indices.min() <= indices.max() < inputs:
        raise NotLowerable(f"its wiring leaves the {inputs} bits that there are", "keep the indices inside")
    weights = np.uint64(1) << np.arange(1 << k, dtype=np.uint64)
    packed = (tables.astype(np.uint64) * weights).sum(1, dtype=np.uint64)
    fanins = (1 + indices % inputs).astype(np.int32)
    outputs = 2 * (1 + inputs + np.arange(count, dtype=np.int32))
    return Netlist(inputs=inputs, fanins=fanins, tables=packed, outputs=outputs)


def emit_netlist(lowering: Lowering, x: ir.Value, netlist: Netlist, output: ir.Value) -> None:
    """A Logic node on ``x`` that makes ``output``."""
    name, dims = str(output.name), shape(output)
    parts = ("fanins", "tables", "starts", "outputs")
    constants = [lowering.constant(f"{name}.{p}", c) for p, c in zip(parts, layered(netlist), strict=True)]
    value = lowering.emit("Logic", [x, *constants], name, ir.DataType.UINT8, dims)
    lowering.keep(output, Stored(value=value, storage=BITS, order=tuple(range(len(dims)))))


def threshold(lowering: Lowering, node: ir.Node) -> None:
    """Threshold: on an input of the model the comparison of floats itself; else of stored integers.

    (q - zero_point) * scale > t where q > t / scale + zero_point, and for an integer q where it is greater than the
    floor of that.
    """
    source, output, limits = node.inputs[0], node.outputs[0], array(node.inputs[1])
    assert source is not None, "a data input is never optional"
    if limits is None or not np.isfinite(limits).all():
        raise NotLowerable("its thresholds are no finite constants", "make them constants of the model")
    name, dims = str(output.name), shape(output)
    if is_compared(source):
        bits = _emit_threshold(lowering, source, limits + np.float32(0.0), name, dims)  # no -0.0 in the file
    else:
        x = lowering.stored(source, range(len(shape(source))))
        bits = _emit_threshold(lowering, x.value, _integers(limits, x.storage), name, dims)
    lowering.keep(output, Stored(value=bits, storage=BITS, order=tuple(range(len(dims)))))


def _emit_threshold(lowering: Lowering, x: ir.Value, limits: Array, name: str, dims: Sequence[int]) -> ir.Value:
    constant = lowering.constant(f"{name}.thresholds", limits)
    return lowering.emit("Threshold", [x, constant], name, ir.DataType.UINT8, dims)


def _integers(limits: Array, storage: Storage) -> Array:
    """int32: the greatest stored value that is not above each threshold; one below all where none is."""
    scale = Fraction(storage.scale)
    exact = [floor(Fraction(t) / scale) + storage.zero_point for t in limits.astype(np.float64).reshape(-1).tolist()]
    within = np.clip(np.array(exact, dtype=object), storage.low - 1, storage.high)
    return within.astype(np.int32).reshape(limits.shape)


def group_sum(lowering: Lowering, node: ir.Node) -> None:
    """GroupSum: exact counts where they go out; else rescaled to the storage of the scheme, beta to whole counts."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    x, name, dims = lowering.stored(source, range(len(shape(source)))), str(output.name), shape(output)
    if x.storage != BITS:
        raise NotLowerable(f"it counts {source.name}, which is a number and not a bit", "let a logic layer make bits")
    tau, beta = float(attribute(node, "tau", 1.0)), float(attribute(node, "beta", 0.0))
    if not tau > 0:
        raise NotLowerable(f"its tau is {tau}", "tau is a positive number")
    sums = GroupSum.contiguous(shape(source)[-1], int(attribute(node, "groups")))
    order = tuple(range(len(dims)))
    if output.is_graph_output() or is_count(output):
        reach = int(np.abs(np.stack(sums.bounds())).max(initial=0))
        counts = _emit_sums(lowering, x.value, sums, name, dims)
        exact = Stored(value=counts, storage=Counts(scale=1.0, reach=reach, tau=tau, beta=beta), order=order)
        lowering.exact[output] = exact
        if is_count(output):
            lowering.keep(output, exact)
            return
    target, steps = lowering.storage(output), round(Fraction(beta))
    counts = _emit_sums(lowering, x.value, replace(sums, offset=sums.offset + np.int32(steps)), name, dims)
    value = rescale(lowering, counts, dims, [1 / Fraction(tau) / Fraction(target.scale)], target, name)
    lowering.keep(output, Stored(value=value, storage=target, order=order))


def _emit_sums(lowering: Lowering, bits: ir.Value, sums: GroupSum, name: str, dims: Sequence[int]) -> ir.Value:
    parts = ("group", "member", "weight", "offset")
    constants = [lowering.constant(f"{name}.{part}", getattr(sums, part)) for part in parts]
    return lowering.emit("GroupSum", [bits, *constants], f"{name}.counts", ir.DataType.INT32, dims)


def arg_max(lowering: Lowering, node: ir.Node) -> None:
    """ArgMax: storage keeps the order, so the stored values are compared as they are; equal ones tie more often."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None, "a data input is never optional"
    if attribute(node, "select_last_index", 0):
        raise NotLowerable("of equal values it takes the last", "take the first, as torch.argmax does")
    rank = len(shape(source))
    x, axis = lowering.stored(source, range(rank)), int(attribute(node, "axis", 0)) % rank
    keepdims = int(attribute(node, "keepdims", 1))
    attributes = {"axis": axis, "keepdims": keepdims}
    value = lowering.emit(
        "ArgMax", [x.value], str(output.name), ir.DataType.INT64, shape(output), attributes, domain=""
    )  # fmt: skip
    storage = Storage(dtype="int16", scale=1.0)
    lowering.keep(output, Stored(value=value, storage=storage, order=tuple(range(len(shape(output))))))
