"""Storages that the model itself gives, because it was quantized before it came here.

An ``edgegate.FakeQuantize`` (:mod:`edgegate.passes.read_qdq` writes it) gives the storage of its output. It is
kept to the bit: nothing else chooses there.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from edgegate.graph import BLOCKS, DOMAIN, array
from edgegate.quant.storage import Storage


def is_quantizer(node: ir.Node) -> bool:
    """Whether the node gives the storage of its output."""
    return (node.domain, node.op_type) == (DOMAIN, "FakeQuantize")


def storage_of(node: ir.Node) -> Storage:
    """The storage that a FakeQuantize gives."""
    scale, zero_point = (array(v) for v in node.inputs[1:3])
    assert scale is not None and zero_point is not None, "a FakeQuantize has constants"
    return Storage(dtype=str(zero_point.dtype), scale=float(scale), zero_point=int(zero_point))


def reach_of(node: ir.Node) -> tuple[float, float]:
    """The least and the greatest number that a FakeQuantize lets through."""
    storage = storage_of(node)
    low, high = (int(node.attributes[name].value) for name in ("low", "high"))
    return storage.scale * (low - storage.zero_point), storage.scale * (high - storage.zero_point)


def known_ranges(model: ir.Model) -> dict[str, tuple[float, float]]:
    """The range of every value that only FakeQuantize reads: beyond it all of them saturate."""
    result = {}
    for value in [*model.graph.inputs, *(v for n in model.graph for v in n.outputs)]:
        readers = [node for node, _ in value.uses()]
        if readers and all(map(is_quantizer, readers)) and not value.is_graph_output():
            lows, highs = zip(*map(reach_of, readers), strict=True)
            result[str(value.name)] = min(lows), max(highs)
    return result


def in_powers(storage: Storage, factor: float = 1.0) -> Storage:
    """``storage`` with its scale rounded up to a power of two over ``factor``.

    Then a power of two for a block of integers is one of ``factor`` times the reals: so integers meet the blocks that
    the float model was trained with, or its transforms chosen for. One bit of 16 is a small price for that; of 8
    there is none to give.
    """
    if storage.dtype != "int16":
        return storage
    fraction, exponent = math.frexp(storage.scale * factor)
    return replace(storage, scale=math.ldexp(1.0, exponent - (fraction == 0.5)) / factor)


def between(model: ir.Model, members: Mapping[str, Sequence[str]], unfit: Container[str]) -> set[str]:
    """The owners of a quantized model's values that its own quantizers leave exact, and that no layer reads.

    Sums on their way to a quantizer, and outputs: in 16 bits they stay almost what they are, at no cost.

    Args:
        model: In float normal form.
        members: Owner -> the values that are stored alike.
        unfit: Names of the values that cannot have 16 bits.
    """
    given = {str(n.outputs[0].name) for n in model.graph if is_quantizer(n)}
    weighed = {str(v.name) for n in model.graph if _is_layer(n) for v in n.inputs[:1] if v is not None}
    kept = given | weighed
    fit = {owner for owner, names in members.items() if not any(n in kept or n in unfit for n in names)}
    return fit if given or any(BLOCKS in n.metadata_props for n in model.graph) else set()


def _is_layer(node: ir.Node) -> bool:
    return node.op_type in ("Conv", "Linear", "MatMul", "Affine") and node.domain in ("", DOMAIN)
