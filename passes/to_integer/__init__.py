"""From the float graph and a Scheme to the integer graph: the last place that sees a float scale.

Every float node has one rule; a node without one, or whose rule refuses it, is reported with all the others
at once.
"""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, POINT, shape
from edgegate.ops import OWN, enter, scores
from edgegate.passes._pipeline import Pass
from edgegate.passes.to_integer import (
    elements,
    exact,
    hard_gates,
    indices,
    layers,
    logic,
    loops,
    moves,
    norms,
    quotients,
    resizes,
    softmaxes,
    transforms,
    windows,
)
from edgegate.passes.to_integer._lowering import EXACT, Exact, Lowering, Rule, Stored, lower_all
from edgegate.passes.to_integer._scaling import dtype_of
from edgegate.quant.bits import COMPARISONS, is_compared
from edgegate.quant.fitting import check_fit
from edgegate.quant.product_storage import no_integers
from edgegate.quant.scheme import Scheme
from edgegate.quant.storage import Storage
from edgegate.stages.loops import LOOP

RULES: dict[tuple[str, str], Rule] = {
    ("", "Conv"): layers.conv,
    (DOMAIN, "Linear"): layers.linear,
    ("", "MatMul"): layers.matmul,
    (DOMAIN, "Affine"): layers.affine,
    (DOMAIN, "RowNorm"): norms.row_norm,
    ("", "Softmax"): softmaxes.softmax,
    ("", "LogSoftmax"): softmaxes.log_softmax,
    (DOMAIN, "MaskedSoftmax"): softmaxes.softmax,
    (DOMAIN, "FakeQuantize"): elements.fake_quantize,
    (DOMAIN, "Transform"): transforms.transform,
    (DOMAIN, "Lut"): logic.lut,
    (DOMAIN, "Network"): logic.network,
    (DOMAIN, "Threshold"): logic.threshold,
    (DOMAIN, "GroupSum"): logic.group_sum,
    (DOMAIN, "HardGate"): hard_gates.hard_gate,
    (DOMAIN, "StageGate"): hard_gates.stage_gate,
    ("", "ArgMax"): indices.arg_extreme,
    ("", "ArgMin"): indices.arg_extreme,
    ("", "TopK"): indices.top_k,
    ("", "GatherElements"): indices.gather_elements,
    ("", "GatherND"): indices.gather_nd,
    ("", "ScatterElements"): indices.scatter_elements,
    ("", "Cast"): exact.cast,
    **dict.fromkeys((("", op) for op in COMPARISONS), exact.compare),
    **dict.fromkeys((("", op) for op in ("And", "Or", "Xor", "Not")), exact.boolean),
    **dict.fromkeys(((EXACT, op) for op in exact.ENDS), exact.arithmetic),
    (EXACT, "Div"): exact.quotient,
    (EXACT, "Mod"): exact.quotient,
    (EXACT, "Where"): exact.where,
    (EXACT, "Clip"): exact.clip,
    (EXACT, "CumSum"): exact.cum_sum,
    (EXACT, "ReduceSum"): exact.total,
    ("", "Add"): elements.add,
    ("", "Sub"): elements.add,
    ("", "Mul"): elements.gate,
    ("", "Div"): quotients.divide,
    ("", "Max"): elements.extremum,
    ("", "Min"): elements.extremum,
    ("", "Where"): elements.where,
    ("", "Relu"): elements.clip,
    ("", "Clip"): elements.clip,
    ("", "ReduceMean"): windows.reduce_mean,
    ("", "ReduceSum"): windows.reduce_mean,
    ("", "CumSum"): windows.cum_sum,
    ("", "ReduceMax"): windows.reduce_extremum,
    ("", "ReduceMin"): windows.reduce_extremum,
    ("", "AveragePool"): windows.average_pool,
    ("", "MaxPool"): windows.max_pool,
    ("", "Resize"): resizes.resize,
    ("", "Identity"): moves.identity,
    ("", "Reshape"): moves.reshape,
    ("", "Transpose"): moves.transpose,
    ("", "Concat"): moves.concat,
    ("", "Split"): moves.split,
    ("", "Gather"): moves.gather,
    ("", "Slice"): moves.slice_,
    ("", "Pad"): moves.pad,
    ("", "Expand"): moves.expand,
    ("", "Tile"): moves.expand,
}
"""How each float op becomes integer, by (domain, op type)."""
BY_DOMAIN: dict[str, Rule] = {
    "edgegate.unary": elements.unary, "edgegate.gate": elements.gate, LOOP: loops.mark,
}  # fmt: skip
"""The families whose op types are open."""


def to_integer(scheme: Scheme) -> Pass:
    """The pass that stores every value of a float model as ``scheme`` says.

    Graph inputs and outputs stay float32 and keep their names and shapes: a QuantizeLinear follows each
    input, or the Threshold that makes bits of it; a DequantizeLinear makes each output, or Scores where it counts
    bits. Places (of an ArgMax) are integers outside too. CompileError where the scheme is not one for the model.
    """

    def apply(model: ir.Model) -> None:
        if scheme.products:
            raise no_integers(f"product {min(scheme.products)} of the scheme")
        check_fit(model, scheme)
        old = list(model.graph.initializers.values())
        taken = {str(v.name) for v in (*model.graph.inputs, *model.graph.outputs, *old)}
        lowering = Lowering(model=model, scheme=scheme, names=taken)
        for value in model.graph.inputs:
            if not is_compared(value):
                _enter(lowering, value)
        lower_all(lowering, RULES, BY_DOMAIN)
        outputs = [_leave(lowering, value) for value in model.graph.outputs]
        _swap(model, lowering, outputs, old)

    apply.__name__ = "to_integer"
    return apply


def _edge(lowering: Lowering, name: str, storage: Storage) -> list[ir.Value]:
    """The scale and zero point of a float edge."""
    scale = lowering.constant(f"{name}.scale", np.array(storage.scale, np.float32))
    return [scale, lowering.constant(f"{name}.zero_point", np.array(storage.zero_point, storage.dtype))]


def _enter(lowering: Lowering, value: ir.Value) -> None:
    storage, name = lowering.storage(value), str(value.name)
    if isinstance(storage, Exact):
        return lowering.keep(value, Stored(value=value, storage=storage, order=tuple(range(len(shape(value))))))
    assert value.shape is not None, "inputs have static shapes"
    dims = [int(str(d)) for d in value.shape]
    state = storage.dtype == "int32"
    op, domain = ("Enter", DOMAIN) if state else ("QuantizeLinear", "")
    inputs = [value, *_edge(lowering, name, storage)]
    stored = lowering.emit(op, inputs, f"{name}.stored", dtype_of(storage), dims, domain=domain)
    if state:
        stored = _limited(lowering, stored, storage, name)
    lowering.keep(value, Stored(value=stored, storage=storage, order=tuple(range(len(dims)))))


def _limited(lowering: Lowering, x: ir.Value, storage: Storage, name: str) -> ir.Value:
    """``x`` cut to 24 bits: a program takes any int32 as stored already, and the proof must hold of it."""
    for op, limit in (("Max", storage.low), ("Min", storage.high)):
        end = lowering.constant(f"{name}.{op.lower()}", np.array([limit], np.int32))
        x = lowering.emit(op, [x, end], f"{name}.limited", ir.DataType.INT32, shape(x), domain="")
    return x


def _leave(lowering: Lowering, value: ir.Value) -> ir.Value:
    assert value.shape is not None, "outputs have static shapes"
    found = lowering.exact.get(value) or lowering.stored(value, tuple(range(len(value.shape))), whole=True)
    name = str(value.name)
    if isinstance(found.storage, Exact):
        return _named(lowering, found, name)
    lowering.names.discard(name)
    if isinstance(found.storage, logic.Counts):
        real = np.array(found.storage.tau, np.float32), np.array(found.storage.beta, np.float32)
        means = [lowering.constant(f"{name}.{key}", data) for key, data in zip(("tau", "beta"), real, strict=True)]
        return lowering.emit("Scores", [found.value, *means], name, ir.DataType.FLOAT, found.dims)
    return lowering.emit(
        "DequantizeLinear", [found.value, *_edge(lowering, name, found.storage)], name, ir.DataType.FLOAT, found.dims,
        domain="",
    )  # fmt: skip


def _named(lowering: Lowering, x: Stored, name: str) -> ir.Value:
    """An exact output as it is, under its own name."""
    if x.value.producer() is None or x.value.is_graph_output():
        inputs = [x.value, lowering.ints("dims", x.dims)]
        return lowering.emit("Reshape", inputs, name, dtype_of(x.storage), x.dims, {"allowzero": 0}, domain="")
    x.value.name = name
    return x.value


def _swap(model: ir.Model, lowering: Lowering, outputs: list[ir.Value], old: list[ir.Value]) -> None:
    """Put the integer nodes in the place of the float ones."""
    graph = model.graph
    float_nodes = list(graph)
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    graph.inputs.extend(lowering.point)
    if lowering.point:
        graph.metadata_props[POINT] = json.dumps({str(v.name): threshold for v, threshold in lowering.point.items()})
    graph.remove(float_nodes, safe=True)
    for value in old:
        if not value.uses():
            del graph.initializers[str(value.name)]
    graph.extend(lowering.nodes)
    model.functions.clear()
    for body in (*(op.body for op in OWN), enter.BODY, scores.BODY):
        assert body is not None, "ops of the project's domain have a body"
        function = ir.serde.deserialize_function(_parse(body))
        model.functions[function.identifier()] = function
    graph.opset_imports.clear()
    graph.opset_imports.update({"": 21, DOMAIN: 1, LOOP: 1})


def _parse(body: str) -> object:
    from onnx import parser

    return parser.parse_function(body)
