"""Channels that are zero, or that nobody reads, leave the layers that make them and those that sum over them.

Source: Li et al., arXiv 2303.08970: what a Gated Compression layer masks for good need not be computed, nor sent.
"""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, GRID, Array, array, constant, matches, replace, set_attribute, shape
from edgegate.passes._channels import Family, Place, family, output_place
from edgegate.passes._functions import UNARY
from edgegate.passes._rewrite import operand, revise
from edgegate.passes.to_affine import NORM
from edgegate.quant.scalar_ops import scalar_function


def dead_channels(model: ir.Model) -> None:
    """Delete channels that never change a result: those that are zero where layers sum over them, or have no weight.

    Exact: nothing but zeros is left out of any sum. One channel stays where none is alive. An Affine that has nothing
    to do, or no longer, goes.
    """
    done: set[ir.Value] = set()
    for node in list(model.graph):
        if node.graph is None or node.outputs[0] in done or output_place(node) is None:
            continue
        found = family(node)
        done.update(found.places)
        if not found.bound and found.readers:
            keep = ~_dead(model, found)
            keep[0] |= not keep.any()
            if not keep.all():
                _delete(model, found, np.flatnonzero(keep))
    for node in matches(model, "Affine", domain=DOMAIN):
        _drop_idle(node)


def _dead(model: ir.Model, found: Family) -> Array:
    zeros: dict[ir.Value, Array] = {}
    members = {*found.makers, *found.inner}
    for node in (n for n in model.graph if n in members):
        zeros[node.outputs[0]] = _zeros(model, node, found, zeros)
    dead = np.ones(found.count, np.bool_)
    for layer, value in found.readers:
        dead &= zeros[value] | _unweighted(layer, found.places[value], found.count)
    return dead


def _zeros(model: ir.Model, node: ir.Node, found: Family, zeros: dict[ir.Value, Array]) -> Array:
    """Which channels of what the node makes are zero for every input."""
    none = np.zeros(found.count, np.bool_)
    sources: list[Array] = [zeros.get(v, none) for v in node.inputs[:2] if v is not None and v in found.places]
    if node in found.makers:
        return _no_rows(node)
    if node.op_type == "Conv":
        return np.asarray(_no_rows(node) | (sources[0] & _no_bias(node)))
    match node.domain, node.op_type:
        case "edgegate", "Affine":
            scale, bias = (_data(node, i).reshape(-1) for i in (1, 2))
            return np.asarray((sources[0] | (scale == 0)) & (bias == 0))
        case "", "Add" | "Sub":
            return np.asarray(sources[0] & sources[-1])
        case ("", "Mul") | ("edgegate.gate", _):
            return np.asarray(sources[0] | sources[-1])
        case domain, op if domain == UNARY or op in ("Relu", "Clip"):
            function = scalar_function(model, node)
            stays = function is not None and not function(np.zeros(1)).any()
            return sources[0] if stays else none
        case _:
            return sources[0]


def _no_rows(layer: ir.Node) -> Array:
    """Output channels without weights and bias."""
    weight = _data(layer, 1)
    rows = weight.T if layer.op_type == "Linear" else weight
    return np.asarray(~rows.reshape(len(rows), -1).any(1) & _no_bias(layer))


def _no_bias(layer: ir.Node) -> Array:
    return np.asarray(_data(layer, 2).reshape(-1) == 0)


def _unweighted(layer: ir.Node, place: Place, count: int) -> Array:
    """Channels whose every weight in the layer is zero."""
    weight = _data(layer, 1)
    columns = np.moveaxis(weight, 1, 0) if layer.op_type == "Conv" else weight
    return np.asarray(~columns.reshape(count, -1).any(1))


def _data(node: ir.Node, index: int) -> Array:
    data = array(node.inputs[index])
    assert data is not None, "a layer's weights are constant"
    return data


def _delete(model: ir.Model, found: Family, keep: Array) -> None:
    for layer in found.makers:
        axis = 1 if layer.op_type == "Linear" else 0
        revise(model, layer, 1, _data(layer, 1).take(keep, axis))
        revise(model, layer, 2, _data(layer, 2).reshape(-1)[keep])
        _keep_moments(layer, keep)
    for layer, value in found.readers:
        axis = 0 if layer.op_type == "Linear" else 1
        revise(model, layer, 1, _data(layer, 1).take(_places(keep, found.places[value]), axis))
    for value, place in found.places.items():
        dims = list(shape(value))
        dims[place.axis] = len(keep) * place.run
        value.shape = ir.Shape(dims)
    for node in found.inner:
        _shrink(model, node, keep)


def _places(keep: Array, place: Place) -> Array:
    return np.asarray((keep[:, None] * place.run + np.arange(place.run)).reshape(-1))


def _shrink(model: ir.Model, node: ir.Node, keep: Array) -> None:
    """An op between, for fewer channels."""
    if (node.domain, node.op_type) == (DOMAIN, "Affine") or node.op_type == "Conv":
        for index in (1, 2):
            revise(model, node, index, _data(node, index)[keep])
        _keep_moments(node, keep)
        if node.op_type == "Conv":
            set_attribute(node, "group", len(keep))
    elif node.op_type == "Reshape":
        target = constant(model, f"{node.outputs[0].name}.dims", np.array(shape(node.outputs[0]), np.int64))
        node.replace_input_with(1, target)


def _drop_idle(node: ir.Node) -> None:
    scale, bias = array(node.inputs[1]), array(node.inputs[2])
    if scale is None or bias is None or (scale != 1).any() or bias.any() or GRID in node.metadata_props:
        return
    if not node.outputs[0].is_graph_output():
        replace(node, operand(node))


def _keep_moments(node: ir.Node, keep: Array) -> None:
    if NORM in node.metadata_props:
        moments = json.loads(node.metadata_props[NORM])
        kept = {name: [row[i] for i in keep.tolist()] for name, row in moments.items()}
        node.metadata_props[NORM] = json.dumps(kept)
