"""From an integer ONNX model to a Relax module: one function call per kernel, memory planned by TVM.

The program takes and gives stored integers; the float edges of the model stay outside, in the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import relax

from edgegate.graph import Array, shape
from edgegate.targets import schedules
from edgegate.targets._call import Call, dtype
from edgegate.targets._calls import calls
from edgegate.targets._edges import inputs_of, outputs_of


@dataclass(kw_only=True)
class Emission:
    """A Relax function under construction.

    Attributes:
        builder: Relax's.
        known: Stored value -> the Relax expression that holds it.
    """

    builder: Any = field(default_factory=relax.BlockBuilder)
    known: dict[ir.Value, Any] = field(default_factory=dict)

    def call(self, call: Call) -> None:
        """Call a TIR function whose last parameters are the outputs."""
        func, outputs = call.func, call.outputs
        plain = func.without_attr("global_symbol") if func.attrs and "global_symbol" in func.attrs else func
        name = self.builder.add_func(plain, "kernel")  # one that is there already is not added again
        types = [relax.TensorType(shape(v), dtype(v)) for v in outputs]
        given = relax.Tuple([self.expression(a) for a in call.arguments])
        result = self.builder.emit(relax.call_tir(name, given, types if len(types) > 1 else types[0]))
        for i, value in enumerate(outputs):
            self.known[value] = self.builder.emit(relax.TupleGetItem(result, i)) if len(types) > 1 else result

    def expression(self, argument: ir.Value | Array) -> Any:
        """The Relax expression of an activation or a constant."""
        if isinstance(argument, np.ndarray):
            data = np.ascontiguousarray(argument).reshape(argument.shape)  # which else would have an axis at least
            return relax.const(data, argument.dtype.name)
        return self.known[argument]


def emit(model: ir.Model, cpu: schedules.Cpu) -> Any:
    """The Relax module of the integer model: function ``main`` over stored integers."""
    emission = Emission()
    builder = emission.builder
    inputs = inputs_of(model)
    parameters = [relax.Var(f"x{i}", relax.TensorType(shape(v), dtype(v))) for i, v in enumerate(inputs)]
    emission.known.update(zip(inputs, parameters, strict=True))
    with builder.function("main", parameters):
        with builder.dataflow():
            for call in calls(model.graph, cpu):
                emission.call(call)
            outputs = [emission.known[v] for v in outputs_of(model)]
            result = builder.emit_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        builder.emit_func_output(result)
    return builder.get()
