"""Layers that were trained in blocks: what the frontend says of their weights and inputs becomes their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgegate.errors import Problem
from edgegate.graph import BLOCKS, DOMAIN, Array, array, attribute, matches, replace, where
from edgegate.passes._quantized_constants import MOVES, output_axis
from edgegate.quant.block_weights import stored_blocks
from edgegate.quant.storage import BlockStorage


def read_blocks(model: ir.Model) -> list[Problem]:
    """Take every ``edgegate.InBlocks`` out of the graph; the layers that read it carry its format, and its scales.

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
            if weights and len(node.inputs) > 1 and (scales := array(node.inputs[1])) is not None:
                told["scales"] = scales.reshape(-1).tolist()
            layer.metadata_props[BLOCKS] = json.dumps(told, sort_keys=True)
        replace(node, source)
    return problems


def scale_blocks(node: ir.Node, rows: Array, factors: Array) -> None:
    """Follow the weights of ``node``, whose output channels are multiplied by ``factors``.

    Args:
        node: A layer.
        rows: What its weights were, [channels * taps, K].
        factors: [channels]; zeros lie on any grid.
    """
    if BLOCKS not in node.metadata_props:
        return
    told = json.loads(node.metadata_props[BLOCKS])
    scales = stored_blocks(BlockStorage(**told), rows.astype(np.float64)).scales
    by_channel = scales.reshape(len(factors), -1) * np.where(factors == 0, 1.0, np.abs(factors))[:, None]
    node.metadata_props[BLOCKS] = json.dumps({**told, "scales": by_channel.reshape(-1).tolist()}, sort_keys=True)


def _readers(value: ir.Value, rank: int) -> Iterator[tuple[ir.Node | None, int]]:
    """The layers that read ``value``, also behind moves, and as which input; None for what is no such layer."""
    for node, index in value.uses():
        if node.op_type in MOVES and index == 0 and not node.domain:
            yield from _readers(node.outputs[0], rank)
        elif output_axis(node, index, rank) is not None and index == 1:
            yield node, 1
        else:
            yield (node, 0) if index == 0 and BLOCKS in node.metadata_props else (None, index)
