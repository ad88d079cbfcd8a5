"""What the factors of a product are made from."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import DOMAIN, array
from edgegate.passes._functions import UNARY
from edgegate.passes._masks import complements
from edgegate.quant.given import is_quantizer

MOVES = ("Reshape", "Transpose", "Resize", "Expand", "Slice", "Split", "Gather", "Pad", "FakeQuantize")
"""Ops that hand values on in another place, or rounded."""
NORMS = ("LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization")
_LOCAL = (*MOVES, "Relu", "Clip", "Add", "Sub", "Max", "Min", "Concat")
"""Ops that do not end the search for what a factor is projected from."""
_DEPTH = 2
"""Most projections in a row: a linear layer and the depthwise convolution after it."""


def is_projection(node: ir.Node) -> bool:
    """Whether the node multiplies by constant weights and mixes channels or neighbours."""
    if (node.domain, node.op_type) == (DOMAIN, "Linear"):
        return True
    return (node.domain, node.op_type) == ("", "Conv") and array(node.inputs[1]) is not None


def projected_from(value: ir.Value) -> set[ir.Value]:
    """All values that ``value`` is a projection of, through at most two projections and anything local."""
    found: set[ir.Value] = set()
    waiting, met = [(value, 0)], {(value, 0)}
    while waiting:
        at, depth = waiting.pop()
        if depth:
            found.add(at)
        for step in _steps(at, depth):
            if step not in met:
                met.add(step)
                waiting.append(step)
    return found


def _steps(value: ir.Value, depth: int) -> list[tuple[ir.Value, int]]:
    """The values that ``value`` is computed from, each with the number of projections up to it."""
    node = value.producer()
    if node is None:
        return []
    if is_projection(node):
        return [(v, depth + 1) for v in node.inputs[:1] if v is not None and depth < _DEPTH]
    local = node.domain == UNARY or (node.domain, node.op_type) == (DOMAIN, "Affine") or is_quantizer(node)
    local = local or is_norm(node)
    if local or (node.domain == "" and node.op_type in _LOCAL):
        return [(v, depth) for v in node.inputs if v is not None and array(v) is None]
    return []


def is_norm(node: ir.Node | None) -> bool:
    """Whether the node normalises what it reads."""
    kinds = {(DOMAIN, "RowNorm"), *(("", op) for op in NORMS)}
    return node is not None and (node.domain, node.op_type) in kinds


def is_normed(value: ir.Value) -> bool:
    """Whether a norm made ``value``, which may have been scaled and shifted by channel since."""
    return is_norm(_behind(value.producer(), (*MOVES, "Affine")))


def maker(value: ir.Value) -> ir.Node | None:
    """The node that computed the numbers of ``value``, looking through moves; None for a graph input."""
    return _behind(value.producer(), MOVES)


def argument(value: ir.Value) -> ir.Value:
    """``x`` where ``value`` is ``act(x)``, else ``value``."""
    node = _behind(value.producer(), ("FakeQuantize",))
    if node is None or node.inputs[0] is None:
        return value
    is_standard = node.domain == "" and node.op_type in ("Relu", "Clip")
    return node.inputs[0] if is_standard or node.domain == UNARY else value


def halves_of_one(value: ir.Value, gate: ir.Value) -> bool:
    """Whether two Linears of one input, whose weights are disjointly masked halves of one matrix, make both."""
    layers = [_behind(argument(v).producer(), ("FakeQuantize", "Affine")) for v in (value, gate)]
    linear = [n for n in layers if n is not None and (n.domain, n.op_type) == (DOMAIN, "Linear")]
    if len(linear) < 2 or linear[0].inputs[0] is not linear[1].inputs[0]:
        return False
    weights = [data for n in linear if (data := array(n.inputs[1])) is not None]
    return len({data.shape for data in weights}) == 1 and bool(complements(weights))


def mixes_tokens(value: ir.Value) -> bool:
    """Whether ``value`` was projected along an axis that a Transpose had brought to the end, and back."""
    node = _behind(value.producer(), ("Relu", "Clip", "Affine", "Reshape"))
    for wanted in ("Transpose", "Linear"):
        if node is None or node.op_type != wanted or node.inputs[0] is None:
            return False
        node = _behind(node.inputs[0].producer(), ("Affine",))
    return node is not None and node.op_type == "Transpose"


def _behind(node: ir.Node | None, skipped: tuple[str, ...]) -> ir.Node | None:
    """The first node at or before ``node``, along first inputs, that is none of ``skipped``."""
    while node is not None and node.domain in ("", DOMAIN) and node.op_type in skipped:
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    return node
