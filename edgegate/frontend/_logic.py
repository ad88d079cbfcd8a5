"""The operators of :mod:`edgegate.nn` as ONNX nodes: Lut, GroupSum, Threshold, StageGate of the domain ``edgegate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxscript import values
from onnxscript.onnx_opset import opset21 as op

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, Array, where
from edgegate.logic.netlist import WIDEST
from edgegate.passes import _functions

NODES = ("Lut", "GroupSum", "Threshold", "StageGate")
_FIX = "make it with edgegate.nn, whose modules check what they are given"


def translations() -> dict[Any, Callable[..., Any]]:
    """What the exporter makes of each torch operator; registers them with torch."""
    import torch

    import edgegate.nn  # noqa: F401, registers the operators

    ops = torch.ops.edgegate
    return {
        ops.lut.default: _lut, ops.group_sum.default: _group_sum, ops.threshold.default: _threshold,
        ops.stage_gate.default: _stage_gate,
    }  # fmt: skip


def _lut(x: Any, indices: Any, tables: Any) -> Any:
    return _op("Lut", "x indices tables")(x, indices, op.Cast(tables, to=int(ir.DataType.UINT8)))


def _group_sum(x: Any, groups: int, tau: float, beta: float) -> Any:
    return _op("GroupSum", "x", groups="INT", tau="FLOAT", beta="FLOAT")(x, groups=groups, tau=tau, beta=beta)


def _threshold(x: Any, thresholds: Any) -> Any:
    return _op("Threshold", "x thresholds")(x, thresholds)


def _stage_gate(x: Any, passed: Any) -> Any:
    return _op("StageGate", "x passed")(x, passed)


def _op(name: str, inputs: str, **attributes: str) -> Any:
    """The op as onnxscript calls it, each input of a type of its own."""
    schema = onnx.defs.OpSchema
    kinds = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(int64)", "tensor(uint8)", "tensor(bool)"]
    made = schema(
        name,
        DOMAIN,
        1,
        inputs=[schema.FormalParameter(i, f"T_{i}") for i in inputs.split()],
        outputs=[schema.FormalParameter("y", "T_x")],
        type_constraints=[(f"T_{i}", kinds, "") for i in inputs.split()],
        attributes=[schema.Attribute(a, schema.AttrType[t], required=True) for a, t in attributes.items()],
    )
    return values.Op(values.Opset(DOMAIN, 1), name, made)


def declare(model: ir.Model) -> None:
    """Say in the model what each of its nodes of :data:`NODES` means."""
    for name in NODES:
        if any(_is(node, name) for node in model.graph):
            _functions.declare(model, DOMAIN, name)


def infer(node: ir.Node) -> None:
    """Give the output of one of our nodes its shape, where its inputs have theirs."""
    x = node.inputs[0]
    if node.op_type not in NODES or x is None or x.shape is None:
        return
    lead = list(x.shape)
    if node.op_type == "StageGate":
        dims = lead
    elif node.op_type == "GroupSum":
        dims = [*lead[:-1], node.attributes["groups"].as_int()]
    else:
        parameter = node.inputs[1]
        if parameter is None or parameter.shape is None:
            return
        dims = [*lead[:-1], parameter.shape[0]] if node.op_type == "Lut" else [*lead, parameter.shape[-1]]
    node.outputs[0].shape, node.outputs[0].type = ir.Shape(dims), x.type


def check(model: ir.Model) -> None:
    """Every look-up table reads bits that there are, and has an entry for each address.

    Raises:
        CompileError: Names each node for which this does not hold, and why.
    """
    found = [Problem(where=where(n), what=what, fix=_FIX) for n in model.graph if (what := _fault(n)) is not None]
    if found:
        raise CompileError.of(found)


def _fault(node: ir.Node) -> str | None:
    if node.domain != DOMAIN or node.op_type not in NODES or node.op_type == "StageGate":
        return None
    if node.op_type == "GroupSum":
        impossible = node.attributes["groups"].as_int() < 1 or not node.attributes["tau"].as_float()
        return "a sum of no groups, or with a temperature of 0" if impossible else None
    x, *parameters = (v for v in node.inputs if v is not None)
    arrays = [v.const_value.numpy() for v in parameters if v.const_value is not None]
    if len(arrays) < len(parameters):
        return f"{node.op_type} whose parameters are computed from the model's inputs"
    features = x.shape.numpy()[-1] if x.shape else 0
    if node.op_type == "Lut":
        return _fault_of_lut(features, *arrays)
    fits = len(arrays[0]) in (1, features)
    return None if fits else f"thresholds for {len(arrays[0])} features, where there are {features}"


def _fault_of_lut(bits: int, indices: Array, tables: Array) -> str | None:
    if indices.size and not 0 <= indices.min() <= indices.max() < bits:
        bad = int(indices.max() if indices.max() >= bits else indices.min())
        return f"a look-up table that reads bit {bad}, where there are {bits}"
    if (
        indices.ndim != 2
        or not 1 <= indices.shape[1] <= WIDEST
        or tables.shape != (len(indices), 1 << indices.shape[1])
    ):
        return f"tables of shape {list(tables.shape)} for indices of shape {list(indices.shape)}"
    if not np.isin(tables, (0, 1)).all():
        return "a look-up table with entries other than 0 and 1"
    return None


def _is(node: ir.Node, name: str) -> bool:
    return node.domain == DOMAIN and node.op_type == name
