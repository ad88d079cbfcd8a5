"""A convex combination is one product."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from edgegate.graph import array, insert, matches, only_user, shape
from edgegate.passes._rewrite import is_float, operand, put


def merge_convex(model: ir.Model) -> None:
    """Turn ``t * a + (1 - t) * b`` into ``b + t * (a - b)``: highway networks, GRUs.

    One product instead of two, and the weights of ``a`` and ``b`` add up to 1 exactly, which they do not
    when ``t`` and ``1 - t`` are each rounded to 8 bits.

    Source: Srivastava, Greff, Schmidhuber, "Highway Networks", 2015, equation 3.
    """
    for node in matches(model, "Add"):
        products = [_product(v) for v in node.inputs]
        for first, second in (products, products[::-1]):
            parts = _convex(first, second) if first and second else None
            if parts is not None:
                _rewrite(node, *parts)
                break


def _product(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """The factors of a product that nothing but one node reads, or None."""
    node = None if value is None else value.producer()
    if node is None or value is None or (node.domain, node.op_type) != ("", "Mul") or only_user(value) is None:
        return None
    return operand(node, 0), operand(node, 1)


def _convex(
    first: tuple[ir.Value, ir.Value], second: tuple[ir.Value, ir.Value]
) -> tuple[ir.Value, ir.Value, ir.Value] | None:
    """(t, a, b) if the first product is ``t * a`` and the second ``(1 - t) * b``, all of one shape."""
    for t, a in (first, first[::-1]):
        for rest, b in (second, second[::-1]):
            if _complement(rest) is t and shape(t) == shape(a) == shape(b) and is_float(t):
                return t, a, b
    return None


def _complement(value: ir.Value) -> ir.Value | None:
    """``t`` if ``value`` is ``1 - t``."""
    node = value.producer()
    if node is None or (node.domain, node.op_type) != ("", "Sub"):
        return None
    one = array(node.inputs[0])
    return node.inputs[1] if one is not None and one.size == 1 and float(one.item()) == 1 else None


def _rewrite(node: ir.Node, t: ir.Value, a: ir.Value, b: ir.Value) -> None:
    name = node.outputs[0].name
    before = partial(insert, node, domain="", dtype=ir.DataType.FLOAT, dims=shape(node.outputs[0]))
    difference = before("Sub", [a, b], name=f"{name}.difference")
    put(node, "Add", [b, before("Mul", [difference, t], name=f"{name}.step")])
