"""The grid that a layer's weights lie on, if they were quantized before they came here: metadata of its node.

The weights stay float, so that every pass may do with them what it does; whoever scales or repeats output
channels does the same to the grid.
"""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir

from edgegate.graph import GRID, Array


def put_grid(node: ir.Node, bits: int, scales: Array) -> None:
    """Say that the weights of ``node`` are integers of ``bits`` bits times ``scales``.

    Args:
        node: A layer.
        bits: 2 to 8, of the symmetric range that holds the integers.
        scales: float64 [output channels], or [1] for one that all share.
    """
    node.metadata_props[GRID] = json.dumps({"bits": bits, "scales": scales.tolist()})


def grid(node: ir.Node) -> tuple[int, Array] | None:
    """The bits and the scales float64 [channels or 1] that :func:`put_grid` left; None if it did not."""
    if GRID not in node.metadata_props:
        return None
    found = json.loads(node.metadata_props[GRID])
    return int(found["bits"]), np.array(found["scales"], np.float64)


def scale_grid(node: ir.Node, factors: Array) -> None:
    """Follow the weights of ``node``, whose output channels were multiplied by ``factors`` [channels].

    A channel times zero keeps its scale: zeros lie on any grid.
    """
    found = grid(node)
    if found is not None:
        put_grid(node, found[0], found[1] * np.where(factors == 0, 1.0, np.abs(factors)))


def repeat_grid(output: ir.Value, times: int) -> None:
    """Follow the weights of the layer that makes ``output``: each output channel became ``times`` neighbours."""
    node = output.producer()
    assert node is not None, "a layer makes it"
    found = grid(node)
    if found is not None and len(found[1]) > 1:
        put_grid(node, found[0], np.repeat(found[1], times))
