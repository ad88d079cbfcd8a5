"""An integer graph under construction, whose every value is computed by the references as it is added."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgegate.graph import DOMAIN, shape
from edgegate.interpreter import EDGES
from edgegate.ops import OPS, OWN
from edgegate.stages import prove

INT8, UINT8, INT16, INT32 = 3, 2, 5, 6
BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
KINDS: dict[int, Any] = {INT8: np.int8, UINT8: np.uint8, INT16: np.int16, INT32: np.int32}
SHORT, LONG = np.dtype(np.int16), np.dtype(np.int32)
SAMPLES = 3
"""Feeds that every graph is built with: small values with many ties, the ends of the range, anything."""


class Net:
    """A graph, its samples, and the random choices that make it.

    Attributes:
        random: Decides about the structure.
        data: Decides about numbers.
        live: The values that further nodes may read, in order.
    """

    def __init__(self, seed: int) -> None:
        self.random, self.data = random.Random(seed), np.random.default_rng(seed)
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": 21, DOMAIN: 1}, name="net")
        self.live: list[ir.Value] = []
        self.samples: dict[ir.Value, list[Any]] = {}
        self._count = 0

    def _value(self, kind: str, samples: list[Any]) -> ir.Value:
        self._count += 1
        first = samples[0]
        value = ir.Value(name=f"{kind}{self._count}", shape=ir.Shape(first.shape))
        value.type = ir.TensorType(ir.DataType.from_numpy(first.dtype))
        self.samples[value] = samples
        return value

    def input(self, dtype: Any, dims: Sequence[int]) -> ir.Value:
        """A graph input; float ones come with the QuantizeLinear that makes ``dtype`` of them."""
        info = np.iinfo(dtype)
        ends = self.data.choice([info.min, info.max, 0, 1], dims)
        plain = [self.data.integers(max(info.min, -3), 4, dims), ends, self.data.integers(info.min, info.max + 1, dims)]
        stored = [x.astype(dtype) for x in plain]
        if self.random.random() < 0.7:
            value = self._value("x", stored)
            self.graph.inputs.append(value)
        else:
            zero = self.constant(np.array(0 if dtype == np.int16 else self.zero_point(dtype), dtype))
            step = np.array(self.random.choice([0.5, 0.0371, 3.0]), np.float32)
            scale = self.constant(step)
            half = self.data.choice([0, 0.25, 0.5], dims)  # between two stored values, and halfway
            real = [(x.astype(np.float64) + half).astype(np.float32) * step for x in stored]
            value = self._value("x", real)
            self.graph.inputs.append(value)
            (value,) = self.add("QuantizeLinear", [value, scale, zero], domain="")
        self.live.append(value)
        return value

    def constant(self, data: Any) -> ir.Value:
        """A new initializer."""
        value = self._value("c", [np.asarray(data)] * SAMPLES)
        value.const_value = ir.tensor(np.ascontiguousarray(data).reshape(np.shape(data)), name=value.name)
        self.graph.register_initializer(value)
        return value

    def add(
        self, op: str, inputs: Sequence[ir.Value], attributes: Mapping[str, Any] | None = None, *, domain: str = DOMAIN
    ) -> list[ir.Value]:
        """A new node; its outputs, with what the reference makes of the samples."""
        settings = dict(attributes or {})
        reference: Any = EDGES[op] if domain == "" and op in EDGES else OPS[domain, op].reference
        results = [reference(*feed, **settings) for feed in zip(*(self.samples[v] for v in inputs), strict=True)]
        several = [r if isinstance(r, tuple) else (np.asarray(r),) for r in results]
        outputs = [self._value("v", list(samples)) for samples in zip(*several, strict=True)]
        self.graph.append(ir.node(op, list(inputs), settings, domain=domain, name=f"n{self._count}", outputs=outputs))
        return outputs

    def one(self, op: str, inputs: Sequence[ir.Value], attributes: Mapping[str, Any] | None = None) -> ir.Value:
        """The output of a new node of the project's domain."""
        return self.add(op, inputs, attributes)[0]

    def move(self, op: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        """The output of a new standard node."""
        return self.add(op, inputs, attributes, domain="")[0]

    def reshape(self, x: ir.Value, *dims: int) -> ir.Value:
        """``x`` in another shape."""
        return self.move("Reshape", [x, self.constant(np.array(dims, np.int64))], allowzero=0)

    def keep(self, *values: ir.Value) -> None:
        """Let further nodes read these."""
        self.live += values

    def pick(self, *dtypes: Any) -> ir.Value | None:
        """A value of one of the types that has few enough elements, new ones more often; None if there is none."""
        fit = [v for v in self.live if dtype_of(v) in dtypes and np.prod(shape(v)) < 8000]
        return self.random.choice(fit[-3:] if self.random.random() < 0.7 else fit) if fit else None

    def zero_point(self, dtype: Any) -> int:
        """A stored zero of an activation: at an end or near the middle."""
        info = np.iinfo(dtype)
        if info.bits > 8:
            return 0
        return self.random.choice(
            [info.min, info.max, (info.min + info.max + 1) // 2, self.random.randint(-9, 9) % 100]
        )

    def weights(self, *dims: int) -> Any:
        """int8 weights, never -128: full range, its ends, or a few small numbers, which make ties."""
        kind = self.random.choice(["any", "ends", "small", "sparse"])
        if kind == "ends":
            return self.data.choice([-127, 127], dims).astype(np.int8)
        plain = self.data.integers(-127, 128, dims) if kind in ("any", "sparse") else self.data.integers(-1, 2, dims)
        mask = self.data.random(dims) < 0.2 if kind == "sparse" else True
        return np.where(mask, plain, 0).astype(np.int8)

    def model(self) -> ir.Model:
        """The model: its outputs are what nothing reads, and now and then something that is read as well."""
        made = [v for node in self.graph for v in node.outputs if dtype_of(v) != np.dtype(bool)]
        outputs = [v for v in made if not v.uses() or self.random.random() < 0.08]
        self.graph.outputs.extend(self._edge(v) for v in outputs)
        functions = [ir.serde.deserialize_function(onnx.parser.parse_function(str(op.body))) for op in OWN]
        return ir.Model(self.graph, ir_version=10, functions=functions)

    def _edge(self, value: ir.Value) -> ir.Value:
        """A float edge behind a stored output, for some."""
        if value.uses() or dtype_of(value) not in (*BYTES, np.dtype(np.int16)) or self.random.random() < 0.7:
            return value
        dtype = dtype_of(value)
        zero, scale = np.array(self.zero_point(dtype), dtype), np.array(0.0371, np.float32)
        return self.move("DequantizeLinear", [value, self.constant(scale), self.constant(zero)])

    def interval(self, value: ir.Value) -> tuple[int, int]:
        """What is proved of ``value``."""
        whole = np.iinfo(dtype_of(value))
        return prove(ir.Model(self.graph, ir_version=10)).values.get(str(value.name), (int(whole.min), int(whole.max)))


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """numpy's type of the value."""
    assert value.dtype is not None, "values have types"
    return value.dtype.numpy()


def ops_of(model: ir.Model) -> set[tuple[str, str]]:
    """Domain and type of the nodes, those of the table alone."""
    return {(n.domain, n.op_type) for n in model.graph} & set(OPS)
