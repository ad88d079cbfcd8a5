"""Without data and without a declared range, the scale of the inputs is a guess: which values make it worse.

If the inputs are really ``k`` times smaller than guessed, then so is what is linear in them, and 8 bits lose
log2(k) of their resolution. A product of two such values is ``k**2`` times smaller: 8 bits are soon spent, 16
are not. A norm puts the scale right again, and a gate bounds it.
"""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from edgegate.quant.recipe import Recipe
from edgegate.quant.sharing import GATE, activations, is_float
from edgegate.quant.synthetic import NORM

PRODUCTS = ("Mul", "MatMul")


def compounded(model: ir.Model, recipe: Recipe, gates: Container[str]) -> set[str]:
    """The values that are off by the square of what the inputs are off by, or worse.

    Args:
        model: In float normal form.
        recipe: Says whether the range of the inputs is known.
        gates: Names of the values whose storage is fixed by what they are.
    """
    degrees = dict.fromkeys((str(v.name) for v in activations(model)), 0)
    if recipe.input_range is None:
        degrees.update(dict.fromkeys((str(v.name) for v in model.graph.inputs), 1))
    for node in model.graph:
        inputs = [degrees.get(str(v.name), 0) for v in node.inputs if v is not None]
        product = node.domain == GATE or (node.domain == "" and node.op_type in PRODUCTS)
        degree = min(sum(inputs) if product else max(inputs, default=0), 2)
        for output in filter(is_float, node.outputs):
            known = NORM in node.metadata_props or str(output.name) in gates
            degrees[str(output.name)] = 0 if known else degree
    return {name for name, degree in degrees.items() if degree > 1}
