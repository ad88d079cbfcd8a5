# mypy: disable-error-code="union-attr, arg-type"
"""Nets in float64: what a fold may not change, to twelve digits."""

from __future__ import annotations

import functools

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes import common
from torch import nn

from edgegate import frontend, stages
from edgegate.graph import array, constant
from edgegate.passes import FLOAT, run
from tests.quant.folds.blocks import drawn


def loaded(module: nn.Module, *dims: int) -> ir.Model:
    """The module's normalised graph, in float64 from end to end."""
    return doubled(normalised(module, *dims))


def net(kind, dims: tuple[int, ...], *given, **options) -> ir.Model:
    """``loaded`` for a module with drawn parameters; exported once."""
    return ir.from_proto(onnx.ModelProto.FromString(_exported(kind, dims, given, tuple(options.items()))))


@functools.cache
def _exported(kind, dims, given, options) -> bytes:
    return ir.to_proto(loaded(drawn(kind(*given, **dict(options))), *dims)).SerializeToString()


def normalised(module: nn.Module, *dims: int) -> ir.Model:
    """The module's normalised graph."""
    model = frontend.load(module.eval(), example=(torch.zeros(dims),))
    run(model, FLOAT, stages.floating)
    return model


def parsed(text: str, data: dict[str, np.ndarray]) -> ir.Model:
    """ONNX text with these constants where it reads them, in float64, every value with its shape."""
    used = [ir.tensor(d, name=name) for name, d in data.items() if f" {name}" in text or f"({name}" in text]
    model = ir.from_onnx_text(text, initializers=used)
    common.InlinePass()(shaped := model.clone())
    common.ShapeInferencePass(data_prop=True)(shaped)
    known = {v.name: v for n in shaped.graph for v in n.outputs}
    for node in model.graph:
        for value in node.outputs:
            value.shape, value.type = known[value.name].shape, known[value.name].type
    return doubled(model)


def doubled(model: ir.Model) -> ir.Model:
    """Every float32 value and constant as float64, functions too."""
    proto = ir.to_proto(model)
    for tensor in proto.graph.initializer:
        _widen(tensor)
    for node in [*proto.graph.node, *(n for f in proto.functions for n in f.node)]:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen(attribute.t)
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info]:
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    return ir.from_proto(proto)


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT:
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float64)))
        tensor.name = name


def outputs(model: ir.Model, seed: int = 0) -> list[np.ndarray]:
    """What the graph computes in float64, on one draw of inputs."""
    rng = np.random.default_rng(seed)
    feed = {str(v.name): rng.standard_normal([int(d) for d in v.shape]) for v in model.graph.inputs}
    return ReferenceEvaluator(ir.to_proto(model)).run(None, feed)


def same(model: ir.Model, before: list[np.ndarray], tolerance: float = 1e-12) -> None:
    """The outputs are what they were."""
    for got, want in zip(outputs(model), before, strict=True):
        assert got.dtype == np.float64
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


def value(model: ir.Model, name: str) -> ir.Value:
    return next(v for node in model.graph for v in node.outputs if v.name == name)


def layers(model: ir.Model, *names: str) -> list[ir.Node]:
    """The layers whose torch module is called so."""
    found = [n for n in model.graph if n.op_type in ("Linear", "Conv")]
    return [next(n for n in found if n.metadata_props["edgegate.layer"].split(".")[-1] == name) for name in names]


def divide(model: ir.Model, node: ir.Node, scale: np.ndarray) -> None:
    """Let a layer read an input that was multiplied by ``scale``."""
    data = array(node.inputs[1])
    scale = scale.reshape(-1, 1) if node.op_type == "Linear" else scale.reshape(1, -1, *[1] * (data.ndim - 2))
    node.replace_input_with(1, constant(model, "divided", data / scale))
