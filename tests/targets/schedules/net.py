"""Integer graphs for the schedules to compile, and what the references make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.ops import OPS

UNIT = 1 << 30
"""The multiplier of a pure shift."""


class Net:
    """An integer graph under construction; every value is computed by the references as it is added."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": 21, "edgegate": 1}, name="net")
        self.data: dict[str, Any] = {}

    def bytes(self, *shape: int, dtype: Any = np.int8) -> Any:
        """Random bytes, a third of them at the ends of the range."""
        info = np.iinfo(dtype)
        plain = self.rng.integers(info.min, info.max + 1, shape)
        ends = self.rng.choice([info.min, info.max], shape)
        return np.where(self.rng.random(shape) < 0.33, ends, plain).astype(dtype)

    def weights(self, *shape: int) -> Any:
        return np.maximum(self.bytes(*shape), -127)

    def _value(self, name: str, data: Any) -> ir.Value:
        self.data[name] = data
        return ir.Value(name=name, shape=ir.Shape(data.shape), type=ir.TensorType(ir.DataType.from_numpy(data.dtype)))

    def given(self, data: Any) -> ir.Value:
        value = self._value(f"x{len(self.data)}", data)
        self.graph.inputs.append(value)
        return value

    def constant(self, data: Any) -> ir.Value:
        value = self._value(f"c{len(self.data)}", data)
        value.const_value = ir.tensor(np.ascontiguousarray(data), name=value.name)
        self.graph.register_initializer(value)
        return value

    def op(self, op_type: str, *inputs: Any, **attributes: Any) -> ir.Value:
        """The first output of a new node."""
        values = [v if isinstance(v, ir.Value) else self.constant(v) for v in inputs]
        arrays = [self.data[str(v.name)] for v in values]
        results = OPS["edgegate", op_type].reference(*arrays, **attributes)
        several = results if isinstance(results, tuple) else (results,)
        outputs = [self._value(f"t{len(self.data)}", result) for result in several]
        name = outputs[0].name
        self.graph.append(ir.node(op_type, values, attributes, domain="edgegate", outputs=outputs, name=name))
        return outputs[0]

    def rescale(self, x: ir.Value, *, to: int = 3, per_channel: bool = True, **attributes: Any) -> ir.Value:
        """To the full range of the output and a little beyond; one channel in four is a tie-prone pure shift."""
        data = self.data[str(x.name)].astype(np.int64)
        count = data.shape[-1] if per_channel else 1
        bits = 15 if self.data[str(x.name)].dtype == np.int64 else 31
        multiplier = self.rng.integers(1 << (bits - 1), 1 << bits, count)
        multiplier[::4] = 1 << (bits - 1)
        reach = max(int(np.abs(data).max()), 1)
        shift = np.full(count, bits + max(0, reach.bit_length() - (8 if to != 5 else 16)))
        shift += self.rng.integers(0, 3, count)
        if count > 5:
            multiplier[5] = 0
        info = np.iinfo(ir.DataType(to).numpy())
        settings = {"input_zero_point": 0, "output_zero_point": 3, "low": int(info.min), "high": int(info.max)}
        constants = (multiplier.astype(np.int32), shift.astype(np.int32))
        return self.op("Rescale", x, *constants, **{**settings, **attributes, "to": to})

    def table(self, x: ir.Value, dtype: Any = np.int8) -> ir.Value:
        offset = 128 if self.data[str(x.name)].dtype == np.int8 else 0
        return self.op("Table", x, self.bytes(256, dtype=dtype), offset=offset)

    def product(
        self, value: ir.Value, gate: ir.Value, multiplier: int = UNIT, shift: int = 38, **more: int
    ) -> ir.Value:
        constants = np.array([multiplier], np.int32), np.array([shift], np.int32)
        settings = {"value_zero_point": 3, "gate_zero_point": -128, "output_zero_point": -9, "low": -128, "high": 127}
        return self.op("GatedProduct", value, gate, *constants, **{**settings, "to": 3, **more})

    def add(self, a: ir.Value, b: ir.Value, **more: int) -> ir.Value:
        settings = {"a_zero_point": -128, "b_zero_point": 127, "a_multiplier": 1 << 20, "b_multiplier": -(1 << 20) + 1}
        late = {"shift": 20, "output_zero_point": 7, "low": -128, "high": 127, "to": 3}
        return self.op("Add", a, b, **{**settings, **late, **more})

    def conv(self, x: ir.Value, outputs: int, size: int = 1, zero_point: int = -3, **more: Any) -> ir.Value:
        channels = self.data[str(x.name)].shape[-1]
        bias = self.rng.integers(-9999, 9999, outputs).astype(np.int32)
        geometry = {"pads": [0] * 4, "strides": [1, 1], "dilations": [1, 1], "group": 1, **more}
        weights = self.weights(outputs, size, size, channels)
        return self.op("Conv2d", x, weights, bias, **geometry, input_zero_point=zero_point)

    def depthwise(self, x: ir.Value, size: int = 3, zero_point: int = -3, **more: Any) -> ir.Value:
        channels = self.data[str(x.name)].shape[-1]
        bias = self.rng.integers(-9999, 9999, channels).astype(np.int32)
        geometry = {"pads": [size // 2] * 4, "strides": [1, 1], "dilations": [1, 1], "group": channels, **more}
        weights = self.weights(size, size, channels, 1)
        return self.op("DepthwiseConv2d", x, weights, bias, **geometry, input_zero_point=zero_point)

    def model(self, *outputs: ir.Value) -> ir.Model:
        self.graph.outputs.extend(outputs)
        return ir.Model(self.graph, ir_version=10)
