"""Stages: each cut of the model has a bit, which goes out beside the model's own outputs."""

from __future__ import annotations

import json
from math import prod

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import DOMAIN, SHOWN, array, matches, shape, where
from edgegate.passes._rewrite import operand
from edgegate.passes.hard_gates import is_gate

GATE_NAME = "gate_{}"
"""The bit of the cut number n, counted from zero in the order of the graph."""


def stage_gates(model: ir.Model) -> None:
    """Make outputs ``gate_0``, ``gate_1``, ... of the bits that the nodes ``edgegate.StageGate`` read.

    Raises:
        CompileError: A bit that is no hard gate, or not one a sample.
    """
    count = 0
    for node in matches(model, "StageGate", domain=DOMAIN):
        bit = operand(node, 1)
        if bit.is_graph_output():
            continue  # two cuts by one gate, or a model that shows its gates itself
        _check(node, bit)
        bit.name = GATE_NAME.format(count)
        model.graph.outputs.append(bit)
        _show(model, str(bit.name))
        count += 1


def _show(model: ir.Model, name: str) -> None:
    """Let a step give the bit beside what it gives more than its states."""
    if shown := model.graph.metadata_props.get(SHOWN):
        model.graph.metadata_props[SHOWN] = json.dumps([*json.loads(shown), name])


def _check(node: ir.Node, bit: ir.Value) -> None:
    maker, x = bit.producer(), operand(node)
    if array(bit) is not None:
        raise CompileError(where(node), "is a gate that is the same for every sample", "leave the layer out")
    if not is_gate(bit):
        made = "an input" if maker is None else maker.op_type
        what = f"goes on by what {made} makes, which is no comparison of a logit with a constant"
        raise CompileError(where(node), what, "let torch.sigmoid(logit) > theta decide, with one logit a sample")
    if prod(shape(bit)) != shape(x)[0] or shape(bit)[:1] != shape(x)[:1]:
        what = f"has gates of shape {list(shape(bit))} for features of shape {list(shape(x))}"
        raise CompileError(where(node), what, "give one gate a sample, of shape [N, 1]")
