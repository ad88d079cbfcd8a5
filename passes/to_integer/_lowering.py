"""What the lowerings share: how each float value is stored, in which order of axes, and how to emit a node.

Values are stored channels last without a layout pass: every stored value remembers, as a permutation, which
float axis each of its axes is. A Transpose of the float graph then costs nothing; one is emitted only where
an op needs an order that its input does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, LAYER, SOURCE, Array, array, where
from edgegate.passes.to_integer._storages import Exact as Exact
from edgegate.passes.to_integer._storages import Wide as Wide
from edgegate.passes.to_integer._storages import exact
from edgegate.quant.scheme import Scheme
from edgegate.quant.storage import Storage, narrowed


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A float value as the integer graph has it.

    Attributes:
        value: The integer value; its shape is in stored order.
        storage: Scale, zero point and type.
        order: ``order[i]`` is the float axis that stored axis ``i`` is.
    """

    value: ir.Value
    storage: Storage
    order: tuple[int, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape in stored order."""
        assert self.value.shape is not None, "stored values have static shapes"
        return tuple(int(str(d)) for d in self.value.shape)

    def axis(self, float_axis: int) -> int:
        """The stored axis of a float axis, which may count from the end."""
        return self.order.index(float_axis % len(self.order))


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The accumulator of a layer, before any rescale.

    Attributes:
        value: int32 or int64, channels last.
        scales: One, or one for each channel.
        order: Of its axes, as of a :class:`Stored`.
        zero_point: What stands for zero.
    """

    value: ir.Value
    scales: tuple[Fraction, ...]
    order: tuple[int, ...]
    zero_point: int = 0


class NotLowerable(Exception):
    """This node cannot become integer; says why and what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


Rule = Callable[["Lowering", ir.Node], None]
"""Lowers one float node: reads its inputs by ``stored`` and declares its outputs by ``keep``."""


@dataclass(kw_only=True)
class Lowering:
    """The integer graph under construction.

    Attributes:
        model: The float model; constants are registered in its graph.
        scheme: How to store each value.
        known: Float value -> stored value.
        narrow: Float value of 24 bits -> the upper 16 of them.
        exact: Float value that goes out as it is, and is stored less exactly for what reads it -> how it goes out.
        sums: Float value that a layer makes -> its accumulator.
        point: Inputs to add that are thresholds of gates -> what they are by default.
        nodes: The integer nodes so far, in order.
    """

    model: ir.Model
    scheme: Scheme
    known: dict[ir.Value, Stored] = field(default_factory=dict)
    narrow: dict[ir.Value, Stored] = field(default_factory=dict)
    exact: dict[ir.Value, Stored] = field(default_factory=dict)
    sums: dict[ir.Value, Sums] = field(default_factory=dict)
    point: dict[ir.Value, int] = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    anchor: ir.Node | None = None

    def storage(self, value: ir.Value) -> Storage:
        """How the scheme stores ``value``; NotLowerable if it does not say."""
        found = exact(value) or self.scheme.values.get(str(value.name))
        if found is None:
            raise NotLowerable(f"the scheme does not say how {value.name} is stored", "quantize this model again")
        return found

    def stored(self, value: ir.Value | None, order: Sequence[int] | None = None, *, whole: bool = False) -> Stored:
        """The stored form of a float value, with its axes in ``order`` if one is given.

        One of 24 bits comes rounded to 16, as most ops read it, unless it is asked for as a ``whole``.
        """
        assert value is not None, "a data input is never optional"
        if value not in self.known and (data := array(value)) is not None:
            storage = self.storage(value)
            constant = self.constant(str(value.name), storage.quantize(data))
            self.known[value] = Stored(value=constant, storage=storage, order=tuple(range(data.ndim)))
        found = self.known[value] if whole else self._narrowed(value)
        return found if order is None or tuple(order) == found.order else self.reorder(found, tuple(order))

    def _narrowed(self, value: ir.Value) -> Stored:
        found = self.known[value]
        storage = narrowed(found.storage)
        if isinstance(found.storage, Wide) or storage == found.storage:
            return found
        if value not in self.narrow:
            name, limits = f"{value.name}.narrow", {"low": storage.low, "high": storage.high}
            steps = round(storage.scale / found.storage.scale).bit_length() - 1
            pair = (("multiplier", 1 << 30), ("shift", 30 + steps))
            factor = [self.constant(f"{name}.{key}", np.array([number], np.int32)) for key, number in pair]
            attributes = {"input_zero_point": 0, "output_zero_point": 0, **limits, "to": ir.DataType.INT16.value}
            made = self.emit("Rescale", [found.value, *factor], name, ir.DataType.INT16, found.dims, attributes)
            self.narrow[value] = Stored(value=made, storage=storage, order=found.order)
        return self.narrow[value]

    def reorder(self, x: Stored, order: tuple[int, ...]) -> Stored:
        """``x`` with its axes in ``order``: a Reshape if only axes of size one move, else a Transpose."""
        permutation = [x.order.index(a) for a in order]
        dims = tuple(x.dims[p] for p in permutation)
        dtype = x.value.dtype
        assert dtype is not None, "stored values have a type"
        name = f"{x.value.name}.{'nhwc'[: len(order)] if order[-1:] == (1,) else 'nchw'[: len(order)]}"
        moving = [p for p in permutation if x.dims[p] > 1]
        if moving == sorted(moving):
            value = self.emit(
                "Reshape", [x.value, self.ints("dims", dims)], name, dtype, dims, {"allowzero": 0}, domain=""
            )
        else:
            value = self.emit("Transpose", [x.value], name, dtype, dims, {"perm": permutation}, domain="")
        return replace(x, value=value, order=order)

    def emit(
        self, op_type: str, inputs: Sequence[ir.Value], name: str, dtype: ir.DataType, dims: Sequence[int],
        attributes: dict[str, Any] | None = None, *, domain: str = DOMAIN,
    ) -> ir.Value:  # fmt: skip
        """Append a node called ``name`` (made unique) with one output of that name."""
        return self.emit_many(op_type, inputs, [(name, dtype, dims)], attributes, domain=domain)[0]

    def emit_many(
        self, op_type: str, inputs: Sequence[ir.Value],
        outputs: Sequence[tuple[str, ir.DataType, Sequence[int]]], attributes: dict[str, Any] | None = None, *,
        domain: str = DOMAIN,
    ) -> list[ir.Value]:  # fmt: skip
        """Append a node with several outputs, each a (name, type, shape)."""
        values = [ir.Value(name=self.unique(n), shape=ir.Shape(d), type=ir.TensorType(t)) for n, t, d in outputs]
        kept = {} if self.anchor is None else self.anchor.metadata_props
        metadata = {k: kept[k] for k in (LAYER, SOURCE) if k in kept}
        node = ir.node(
            op_type, list(inputs), attributes or {}, domain=domain, outputs=values, name=values[0].name,
            metadata_props=metadata,
        )  # fmt: skip
        self.nodes.append(node)
        return values

    def unique(self, name: str) -> str:
        """``name``, with a number if it is taken."""
        candidate, n = name, 0
        while candidate in self.names:
            n += 1
            candidate = f"{name}_{n}"
        self.names.add(candidate)
        return candidate

    def constant(self, name: str, data: Array) -> ir.Value:
        """A new initializer of the integer graph."""
        unique = self.unique(name)
        value = ir.Value(
            name=unique, const_value=ir.tensor(np.ascontiguousarray(data).reshape(data.shape), name=unique)
        )
        value.shape, value.dtype = ir.Shape(data.shape), ir.DataType.from_numpy(data.dtype)
        self.model.graph.register_initializer(value)
        return value

    def ints(self, name: str, data: Sequence[int]) -> ir.Value:
        """An int64 constant: a shape, axes or sizes."""
        return self.constant(name, np.array(data, np.int64))

    def keep(self, value: ir.Value, stored: Stored) -> None:
        """Declare how the float ``value`` came out."""
        self.known[value] = stored


OTHERWISE = "replace it, or keep it outside the model"
INSTEAD = {
    **dict.fromkeys(
        ("Softmax", "LogSoftmax", "Attention"),
        "let sigmoid gates take its place; after the last layer, leave it out: the greatest logit stays the greatest",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization"),
        "train with a batch norm, whose moments are constants and fold into the layer",
    ),
    **dict.fromkeys(
        ("GRU", "LSTM", "RNN", "Scan", "Loop", "If"), "export one step, with the state as input and output"
    ),
    **dict.fromkeys(("Conv", "ConvTranspose"), "make its weights constants of the model"),
    **dict.fromkeys(
        ("ReduceProd", "LpNormalization"),
        "use a batch norm, or a sum or a mean over an axis",
    ),
    "ScatterND": "make its indices constants, or scatter along one axis",
    "Einsum": "write it as a matrix product, with @ and transposes",
    "Div": "divide by a constant, or by a value made in the model",
    "Pow": "use a constant exponent",
}
"""What to do about an op without a rule, by type."""


def rule_of(node: ir.Node, rules: Mapping[tuple[str, str], Rule]) -> Rule | None:
    """The rule of a node: that of exact results, if it makes bools or integers and there is one."""
    is_exact = bool(node.outputs) and exact(node.outputs[0]) is not None
    found = rules.get((EXACT, node.op_type)) if is_exact and not node.domain else None
    return found or rules.get((node.domain, node.op_type))


EXACT = "exact"
"""Stands for the domain in the table of rules, where a standard op of bools and integers has one of its own."""


def lower_all(lowering: Lowering, rules: dict[tuple[str, str], Rule], fallback: dict[str, Rule]) -> None:
    """Lower every node of the float graph in order; CompileError with every problem at once.

    After a failure the nodes that read the missing value are left out of the report: they are not at fault.
    """
    problems: list[Problem] = []
    lost: set[ir.Value] = set()
    for node in lowering.model.graph:
        lowering.anchor = node
        rule = rule_of(node, rules) or fallback.get(node.domain)
        orphan = any(v in lost for v in node.inputs if v is not None)
        try:
            if rule is None:
                raise NotLowerable("no integer form", INSTEAD.get(node.op_type, OTHERWISE))
            if not orphan:
                rule(lowering, node)
        except NotLowerable as e:
            problems.append(Problem(where=where(node), what=f"{_shapes(node)}: {e.what}", fix=e.fix))
        if orphan or node.outputs[0] not in lowering.known:
            lost.update(node.outputs)
    if problems:
        raise CompileError.of(problems)


def _shapes(node: ir.Node) -> str:
    """The op with the shapes of its inputs, for errors."""
    return f"{node.op_type} of {', '.join(str(v.shape) for v in node.inputs if v is not None)}"
