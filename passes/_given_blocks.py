"""Layers that were trained in blocks: what the frontend says of their weights and inputs becomes their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator

import onnx_ir as ir

from edgegate.errors import Problem
from edgegate.graph import BLOCKS, DOMAIN, array, attribute, matches, replace, where
from edgegate.passes._quantized_constants import MOVES, output_axis


def read_blocks(model: ir.Model) -> list[Problem]:
    """Take every ``edgegate.InBlocks`` out of the graph; the layers that read it carry its format.

    Returns:
        A problem for each whose readers are not all layers, or whose layers have inputs in blocks and weights that
        are not.
    """
    problems = []
    nodes = matches(model, "InBlocks", domain=DOMAIN)
    nodes.sort(key=lambda node: array(node.inputs[0]) is None)  # the weights first
    for node in nodes:
        source = node.inputs[0]
        assert source is not None, "InBlocks has an input"
        weights = array(source) is not None
        readers = list(_readers(node.outputs[0], len(node.outputs[0].shape or ())))
        if not readers or any(layer is None or (index == 1) != weights for layer, index in readers):
            what = f"stores in blocks ({attribute(node, 'format')}) what is no input of a layer with weights in blocks"
            fix = "give blocks to the weights and the input_quant of layers alone"
            problems.append(Problem(where=where(node), what=what, fix=fix))
            continue
        for layer, _ in readers:
            assert layer is not None, "was looked at"
            told = json.loads(layer.metadata_props.get(BLOCKS, '{"activations": null}'))
            told["weights" if weights else "activations"] = str(attribute(node, "format"))
            layer.metadata_props[BLOCKS] = json.dumps(told, sort_keys=True)
        replace(node, source)
    return problems


def _readers(value: ir.Value, rank: int) -> Iterator[tuple[ir.Node | None, int]]:
    """The layers that read ``value``, also behind moves, and as which input; None for what is no such layer."""
    for node, index in value.uses():
        if node.op_type in MOVES and index == 0 and not node.domain:
            yield from _readers(node.outputs[0], rank)
        elif output_axis(node, index, rank) is not None and index == 1:
            yield node, 1
        else:
            yield (node, 0) if index == 0 and BLOCKS in node.metadata_props else (None, index)
