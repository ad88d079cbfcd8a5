"""Routers rank their logits, not what a softmax or a sigmoid makes of them.

Both keep the order, so the places are the same; but they press most experts against zero or one, where stored numbers
tie that were far apart. The weights of those that were chosen are computed from their logits alone:

    top k of sigmoid(z)            sigmoid(top k of z)
    top k of softmax(z)            softmax(z) at the places of the top k of z
    the same, over its own sum     softmax(top k of z)

Source of the last: exp(z_i - m) / sum over the chosen of exp(z_j - m), whatever m, is the softmax of the chosen.
"""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import array, attribute, insert, matches, replace, shape

POINTWISE = ("Sigmoid", "Tanh", "Softsign", "Softplus", "Exp")
"""Functions that rise strictly and take one number."""


def rank_logits(model: ir.Model) -> None:
    """Let TopK, ArgMax and ArgMin read the argument of a function that keeps the order of what they read."""
    for node in matches(model, "ArgMax", "ArgMin"):
        made = _monotone(node)
        if made is not None:
            node.replace_input_with(0, made.inputs[0])
    for node in matches(model, "TopK"):
        made = _monotone(node)
        if made is not None:
            node.replace_input_with(0, made.inputs[0])
            _weigh(model, node, made)


def _monotone(node: ir.Node) -> ir.Node | None:
    """What makes the node's input, if that keeps the order along the node's axis."""
    source = node.inputs[0]
    made = None if source is None else source.producer()
    if source is None or made is None or made.domain or made.inputs[0] is None:
        return None
    rank = len(shape(source))
    axis = int(attribute(node, "axis", -1 if node.op_type == "TopK" else 0)) % rank
    if made.op_type == "Softmax":
        return made if int(attribute(made, "axis", -1)) % rank == axis else None
    return made if made.op_type in POINTWISE else None


def _weigh(model: ir.Model, node: ir.Node, made: ir.Node) -> None:
    """Make of the ranked logits what was ranked before."""
    values, places = node.outputs
    if not values.uses() and not values.is_graph_output():
        return
    readers = list(values.uses())
    dims, rank, name = shape(values), len(shape(values)), str(values.name)
    assert values.dtype is not None, "every value has a type"
    axis = int(attribute(node, "axis", -1)) % rank
    normal = _normalised(values, axis) if made.op_type == "Softmax" else None
    kind, settings = ("Softmax", {"axis": axis}) if normal else (made.op_type, {})
    inputs = [values]
    if made.op_type == "Softmax" and not normal:
        kind, settings, inputs = "GatherElements", {"axis": axis}, [made.outputs[0], places]
    weights = insert(
        node, kind, inputs, settings, domain="", name=f"{name}.weights", dtype=values.dtype, dims=dims, after=True
    )
    if normal is not None:
        replace(normal, weights)
        return
    for user, index in readers:
        user.replace_input_with(index, weights)
    if values.is_graph_output():
        outputs = model.graph.outputs
        outputs[outputs.index(values)] = weights
        values.name, weights.name = f"{name}.logits", name


def _normalised(values: ir.Value, axis: int) -> ir.Node | None:
    """The Div of ``values`` by their own sum along ``axis``, if it and the sum are all that read them."""
    readers = {id(n): n for n, _ in values.uses()}
    quotients = [n for n in readers.values() if n.op_type == "Div" and n.inputs[0] is values]
    if len(readers) != 2 or len(quotients) != 1 or values.is_graph_output():
        return None
    made = quotients[0].inputs[1]
    total = None if made is None else made.producer()
    if total is None or total.op_type != "ReduceSum" or total.inputs[0] is not values:
        return None
    axes = array(total.inputs[1]) if len(total.inputs) > 1 else None
    along = [] if axes is None else [int(a) % len(shape(values)) for a in axes.reshape(-1)]
    return quotients[0] if along == [axis] and attribute(total, "keepdims", 1) else None
