"""Products of two activations read 16 bits: attention scores, the state that a query reads, what mixes tokens.

Each factor is rounded by itself, and a softmax makes of an absolute error of its scores a relative one of the result.
What such a product reads comes from layers, whose accumulators have the bits, so they are only kept; the layers
themselves go on reading bytes.
"""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import DOMAIN, array, matches
from edgegate.quant.sharing import Groups, is_float

LEAST = 38.0
"""What is made of such a product, up to the output of the next layer, gets 16 bits where 8 have not so many dB.

Products of products have long tails, in which 8 bits lose what the product kept.
"""
LAYERS = frozenset({("", "Conv"), ("", "ConvTranspose"), (DOMAIN, "Linear")})


def mixed(model: ir.Model, groups: Groups) -> set[str]:
    """Owners of what products of two activations make, and of what they read, back to the layers that it comes from.

    What is also read by a layer is left out, and so are inputs of the model.
    """
    sources = [n.inputs[0] for n in model.graph if _is_layer(n)]
    read = {groups.owner(str(v.name)) for v in sources if v is not None and v.name in groups}
    products = matches(model, "MatMul")
    waiting = [v for n in products for v in (*n.inputs, *n.outputs) if v is not None and is_float(v)]
    waiting += routed(model)
    found: set[str] = set()
    met: set[ir.Value] = set()
    while waiting:
        value = waiting.pop()
        owner = groups.owner(str(value.name)) if value.name in groups else None
        if value in met or owner in read:
            continue
        met.add(value)
        node = value.producer()
        if node is not None and _is_table(node):
            continue
        if owner is not None and (node is not None or array(value) is not None):
            found.add(owner)
        if node is not None and not _is_layer(node):
            waiting += [v for v in node.inputs if v is not None and is_float(v)]
    return found - {groups.owner(str(v.name)) for v in model.graph.inputs if v.name in groups}


def routed(model: ir.Model) -> list[ir.Value]:
    """What a TopK ranks, where a tie is another route, and the sums of what is weighed by what it found."""
    waiting = [v for n in matches(model, "TopK") for v in n.outputs]
    found = [v for n in matches(model, "TopK") if is_float(v := n.inputs[0])]
    met: set[ir.Value] = set()
    while waiting:
        value = waiting.pop()
        readers = [n for n, _ in value.uses() if value not in met and not _is_layer(n) and not _is_table(n)]
        made = [v for n in readers for v in n.outputs]
        met.add(value)
        waiting += made
        found += filter(is_float, made)
    return found


def _is_table(node: ir.Node) -> bool:
    """Whether the node reads rows of a constant: weights of experts, of which there are many."""
    return node.op_type in ("Gather", "GatherND") and not node.domain and array(node.inputs[0]) is not None


def behind(model: ir.Model, groups: Groups) -> set[str]:
    """Owners of what is made of products of two activations, up to the outputs of the layers that read it."""
    values = {v for n in matches(model, "MatMul") for v in n.outputs}
    last: set[ir.Value] = set()
    for node in model.graph:
        if any(v in values for v in node.inputs):
            (last if _is_layer(node) else values).update(node.outputs)
    return {groups.owner(str(v.name)) for v in values | last if v.name in groups}


def _is_layer(node: ir.Node) -> bool:
    return (node.domain, node.op_type) in LAYERS
