"""What must hold once a model is integer: every op is in the table, nothing is float, no accumulator overflows.

Differential tests cannot see an int32 overflow, because every engine wraps the same way; so it is proved, by
interval analysis over the stored weights themselves, for any order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import array, attribute, shape, where
from edgegate.ops import OPS, Bound, Interval
from edgegate.stages import _carried
from edgegate.stages._sound import names, order
from edgegate.stages.edges import is_edge, is_entry
from edgegate.stages.loops import is_mark, sound
from edgegate.stages.scans import lay_flat, scans


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the overflow analysis proved.

    Attributes:
        accumulators: (node name, least, greatest, bits) of every accumulator, in graph order.
        rescales: How many rescales were shown to lie in their domain.
        values: The interval of every value of the graph, by name.
    """

    accumulators: tuple[tuple[str, int, int, int], ...]
    rescales: int
    values: dict[str, tuple[int, int]]

    def summary(self) -> str:
        """One line for people."""
        widest = max((max(-low, high) for _, low, high, bits in self.accumulators if bits <= 32), default=0)
        return (
            f"{len(self.accumulators)} accumulators bounded (widest uses {widest.bit_length() + 1} of 32 bits), "
            f"{self.rescales} rescales in their domain, no float op"
        )

    def document(self) -> dict[str, Any]:
        """The proof as plain JSON values."""
        return {
            "summary": self.summary(),
            "accumulators": [
                {"node": name, "low": low, "high": high, "bits": bits} for name, low, high, bits in self.accumulators
            ],
            "rescales": self.rescales,
            "values": {name: {"low": low, "high": high} for name, (low, high) in self.values.items()},
        }


def integer(model: ir.Model) -> None:
    """Stage check: raise CompileError, with every problem found, unless the graph is sound and :func:`prove` succeeds.

    Nodes stand in topological order and read only graph inputs, initializers with data, and outputs of earlier nodes;
    no two values share a name. So it is in the bodies of Scans, whose nodes count as nodes of the graph.
    """
    model = _flat(model)
    problems = [*order(model), *names(model), *sound(model)]
    if problems:
        raise CompileError.of(problems)
    prove(model)


def prove(model: ir.Model) -> Proof:
    """Prove that the integer model is integer and cannot overflow.

    Raises:
        CompileError: With one problem per node that has no row in the table, that touches a float value, or
            whose accumulator or rescale cannot be shown to stay in its domain.
    """
    model = _flat(model)
    problems = [p for node in model.graph if (p := _foreign(node)) is not None]
    if problems:
        raise CompileError.of(problems)
    known: dict[ir.Value, Interval] = {v: Interval.of(v.const_value.numpy()) for v in _constants(model)}
    known |= {v: _whole(v) for v in model.graph.inputs if _is_integer(v)}
    accumulators: list[tuple[str, int, int, int]] = []
    rescales = 0
    for node in model.graph:
        try:
            bound = _bound(node, known)
        except OverflowError as e:
            problems.append(
                Problem(where=where(node), what=f"{e} (value {node.outputs[0].name})", fix=_remedy(node, e))
            )
            bound = Bound(output=_whole(node.outputs[0]))
        if bound.accumulator is not None:
            accumulators.append((node.name or "?", bound.accumulator.low, bound.accumulator.high, bound.bits))
        rescales += any(name == "multiplier" for name in _inputs_of(node))
        known |= dict(zip(node.outputs, bound.of(len(node.outputs)), strict=True))
    if problems:
        raise CompileError.of(problems)
    values = {v.name: (i.low, i.high) for v, i in known.items() if v.name and v.producer() is not None}
    return Proof(accumulators=tuple(accumulators), rescales=rescales, values=values)


def _flat(model: ir.Model) -> ir.Model:
    """The model, or one like it whose loops lie flat."""
    if not scans(model):
        return model
    flat = model.clone()
    lay_flat(flat)
    return flat


def _remedy(node: ir.Node, error: OverflowError) -> str:
    """What to do about a bound that cannot be proved."""
    source = node.inputs[0]
    wide = source is not None and source.dtype == ir.DataType.INT16
    if "accumulator" in str(error) and not wide and array(node.inputs[1]) is not None:
        return "keep its input in int16, or split the sum"
    return (
        "split the sum" if "the sum" in str(error) or "accumulator" in str(error) else "check its scales in the scheme"
    )


def _constants(model: ir.Model) -> list[Any]:
    values = model.graph.initializers.values()
    return [v for v in values if v.const_value is not None and v.const_value.numpy().dtype.kind in "iub"]


def _inputs_of(node: ir.Node) -> tuple[str, ...]:
    """Names of the op's inputs that a rescale is known by."""
    return ("multiplier",) if node.op_type in ("Rescale", "GatedProduct") and node.domain else ()


def _is_integer(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.numpy().kind in "iub"


def _foreign(node: ir.Node) -> Problem | None:
    """Why the node has no place in an integer model, or None."""
    if is_edge(node):
        side = node.inputs[0] if is_entry(node) else node.outputs[0]
        outside = side is not None and (side.is_graph_input() or side.is_graph_output())
        if outside:
            return None
        return Problem(
            where=where(node), what="converts inside the graph", fix="only graph inputs and outputs may be float"
        )
    if (node.domain, node.op_type) not in OPS and not is_mark(node):
        return Problem(
            where=where(node), what="is not in the integer op table", fix="see `edgegate targets` for what is"
        )
    floats = [v.name for v in (*node.inputs, *node.outputs) if v is not None and not _is_integer(v)]
    if floats:
        return Problem(
            where=where(node), what=f"touches float values {', '.join(map(str, floats))}", fix="report this bug"
        )
    return None


def _whole(value: ir.Value) -> Interval:
    """All that the value's type can hold; the edge to float has no interval."""
    return (
        Interval.of_dtype(value.dtype.numpy())
        if value.dtype is not None and _is_integer(value)
        else Interval(low=0, high=0)
    )


def _bound(node: ir.Node, known: dict[ir.Value, Interval]) -> Bound:
    """The bound of one node from those of its inputs."""
    if is_edge(node):
        bits = Interval(low=0, high=1)
        return Bound(output=bits if node.op_type == "Threshold" else _whole(node.outputs[0]))
    if is_mark(node):
        return _carried.bound(node, known)
    inputs = [_typed(known[v], v) for v in node.inputs if v is not None]
    attributes = {name: attribute(node, name) for name in node.attributes}
    bound = OPS[node.domain, node.op_type].bounds(*inputs, **attributes)
    return _in_type(bound, node)


def _typed(interval: Interval, value: ir.Value) -> Interval:
    """The interval with the dtype and shape of its value."""
    assert value.dtype is not None, "every value of an integer model has a type"
    return replace(interval, dtype=value.dtype.numpy(), dims=shape(value))


def _in_type(bound: Bound, node: ir.Node) -> Bound:
    """OverflowError unless every output's type holds its interval."""
    for value, interval in zip(node.outputs, bound.of(len(node.outputs)), strict=True):
        assert value.dtype is not None, "every value of an integer model has a type"
        kind = value.dtype.numpy()
        if kind == np.bool_:
            continue
        whole = Interval.of_dtype(kind)
        if interval.low < whole.low or interval.high > whole.high:
            raise OverflowError(f"the result reaches [{interval.low}, {interval.high}], which {kind} cannot hold")
    return bound
