"""From an integer ONNX model to a Relax module: one function call per kernel, memory planned by TVM.

The program takes and gives stored integers; the float edges of the model stay outside, in the runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import relax, te

from edgegate.graph import Array, array, attribute, shape
from edgegate.ops import OPS
from edgegate.targets import schedules
from edgegate.targets._edges import inputs_of, is_edge, outputs_of


@dataclass(kw_only=True)
class Emission:
    """A Relax function under construction.

    Attributes:
        cpu: What the kernels may use.
        builder: Relax's.
        known: Stored value -> the Relax expression that holds it.
    """

    cpu: schedules.Cpu
    builder: Any = field(default_factory=relax.BlockBuilder)
    known: dict[ir.Value, Any] = field(default_factory=dict)

    def group(self, group: schedules.Group) -> None:
        """Emit a group as one kernel, or node by node where no schedule of ours fits."""
        kernel = schedules.kernel(group, self.cpu)
        if kernel is not None:
            self.call(kernel.func, list(kernel.arguments), [kernel.output])
            return
        for node in group.nodes:
            self.node(node)

    def node(self, node: ir.Node) -> None:
        """Emit one node by its op's portable lowering."""
        op = OPS[node.domain, node.op_type]
        tensors, parameters, arguments = [], [], []
        for position, value in enumerate(node.inputs):
            assert value is not None, "integer ops have no optional inputs"
            data = array(value)
            if position in op.static:
                tensors.append(data)
                continue
            parameter = te.placeholder(shape(value), _dtype(value), name=f"x{position}")
            tensors.append(parameter)
            parameters.append(parameter)
            arguments.append(value if data is None else data)
        lowered = op.lower(*tensors, **{name: attribute(node, name) for name in node.attributes})
        outputs = list(lowered) if isinstance(lowered, list | tuple) else [lowered]
        self.call(te.create_prim_func([*parameters, *outputs]), arguments, list(node.outputs))

    def call(self, func: Any, arguments: list[ir.Value | Array], outputs: list[ir.Value]) -> None:
        """Call a TIR function whose last parameters are the outputs."""
        plain = func.without_attr("global_symbol") if func.attrs and "global_symbol" in func.attrs else func
        name = self.builder.add_func(plain, "kernel")  # one that is there already is not added again
        types = [relax.TensorType(shape(v), _dtype(v)) for v in outputs]
        given = relax.Tuple([self.expression(a) for a in arguments])
        result = self.builder.emit(relax.call_tir(name, given, types if len(types) > 1 else types[0]))
        for i, value in enumerate(outputs):
            self.known[value] = self.builder.emit(relax.TupleGetItem(result, i)) if len(types) > 1 else result

    def expression(self, argument: ir.Value | Array) -> Any:
        """The Relax expression of an activation or a constant."""
        if isinstance(argument, np.ndarray):
            data = np.ascontiguousarray(argument).reshape(argument.shape)  # which else would have an axis at least
            return relax.const(data, argument.dtype.name)
        return self.known[argument]


def _dtype(value: ir.Value) -> str:
    assert value.dtype is not None, "every value of an integer model has a type"
    return str(value.dtype.numpy().name)


def emit(model: ir.Model, cpu: schedules.Cpu) -> Any:
    """The Relax module of the integer model: function ``main`` over stored integers."""
    emission = Emission(cpu=cpu)
    builder = emission.builder
    inputs = inputs_of(model)
    parameters = [relax.Var(f"x{i}", relax.TensorType(shape(v), _dtype(v))) for i, v in enumerate(inputs)]
    emission.known.update(zip(inputs, parameters, strict=True))
    with builder.function("main", parameters):
        with builder.dataflow():
            for group in _groups(model):
                emission.group(group)
            outputs = [emission.known[v] for v in outputs_of(model)]
            result = builder.emit_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        builder.emit_func_output(result)
    return builder.get()


def _groups(model: ir.Model) -> Iterator[schedules.Group]:
    """The kernels of the model, without its float edges."""
    for group in schedules.partition(model):
        if not is_edge(group.nodes[0]):
            yield group
