"""Passes on ONNX text: before, after.

Constants are compared by value, not by name, so ``after`` may call them what it likes; every other value
by name. Both texts are the inside of ``g (...) => (...) {...}`` with their inputs.
"""

from __future__ import annotations

import functools

import numpy as np
import onnx_ir as ir
import onnxruntime
from onnx_ir.passes import common

from edgegate.graph import DOMAIN, LAYER, array
from edgegate.passes import _functions, run
from edgegate.passes.drop_unused import drop_unused
from edgegate.stages import floating

HEADER = '<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1, "edgegate.unary" : 1, "edgegate.gate" : 1]>\n'
LOGIC = {"Lut", "Threshold", "GroupSum", "StageGate", "HardGate"}
"""Ops of the project that models come with."""


def parse(text: str) -> ir.Model:
    """The model, with constants as initializers, inferred shapes, and a layer on every node."""
    model = ir.from_onnx_text(HEADER + text)
    for name in {n.op_type for n in model.graph if n.domain == DOMAIN} & LOGIC:
        _functions.declare(model, DOMAIN, name)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.ShapeInferencePass(data_prop=True)(model)
    for node in model.graph:
        node.metadata_props[LAYER] = "layer"
    return model


def lines(model: ir.Model) -> list[str]:
    """One line per node: outputs, op, attributes, inputs; constants by value, rounded.

    ONNX text has no dots in names, so they count as underscores.
    """
    return [
        f"{', '.join(map(_name, n.outputs))} = {n.domain}::{n.op_type}"
        f"<{', '.join(f'{k}={_plain(a.value)}' for k, a in sorted(n.attributes.items()))}>"
        f"({', '.join(map(_operand, n.inputs))})"
        for n in model.graph
    ]


def _name(value: ir.Value) -> str:
    return str(value.name).replace(".", "_")


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (tuple, list)) else value


def _operand(value: ir.Value | None) -> str:
    data = array(value)
    if value is None or data is None:
        return "" if value is None else _name(value)
    return f"{data.dtype}{np.round(data.astype(np.float64), 5).tolist() if data.dtype != bool else data.tolist()}"


def outputs(model: ir.Model) -> list[np.ndarray]:
    """What ONNX Runtime computes on fixed inputs, without its own optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    rng = np.random.default_rng(0)
    feed = {i.name: (rng.standard_normal(i.shape) * 2).astype(np.float32) for i in session.get_inputs()}
    return session.run(None, feed)


def check(step, before: str, after: str) -> ir.Model:
    """``step`` turns ``before`` into ``after``, keeps its meaning, its layers, and the stage's invariants."""
    model = parse(before)
    wanted = outputs(model)
    run(model, [step, drop_unused], floating)
    assert lines(model) == lines(_unchecked(after))
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert all(node.metadata_props.get(LAYER) == "layer" for node in model.graph)
    return model


def unchanged(step, text: str) -> None:
    """``step`` leaves this alone."""
    model = parse(text)
    wanted = lines(model)
    run(model, [step, drop_unused], floating)
    assert lines(model) == wanted


@functools.cache
def _unchecked(text: str) -> ir.Model:
    model = ir.from_onnx_text(HEADER + text)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model
