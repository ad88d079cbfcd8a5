"""Quantization: float model in, Scheme out. The model is not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx_ir as ir

from edgegate.graph import Array
from edgegate.quant import execute, synthetic
from edgegate.quant.choose import Plan, choose
from edgegate.quant.observe import observe
from edgegate.quant.recipe import Recipe
from edgegate.quant.scheme import Scheme
from edgegate.quant.storage import Storage, WeightStorage

__all__ = ["Recipe", "Scheme", "Storage", "WeightStorage", "quantize_scheme"]


def quantize_scheme(
    model: ir.Model, calibration: Iterable[Mapping[str, Array]] | None = None, recipe: Recipe | None = None
) -> Scheme:
    """How to store every value of ``model``: the same for the same model, data and recipe.

    Args:
        model: Float, normalised by ``edgegate.passes.FLOAT``.
        calibration: Batches of the model's inputs, read once and one at a time. None: synthetic inputs, and
            the moments that folded norms left behind.
        recipe: What is asked for.

    Raises:
        CompileError: Weights are NaN or infinite, or the float model computes NaN or infinity.
        InputError: A calibration batch does not fit the model.
        ValueError: There is no calibration batch, or a pattern of the recipe matches nothing.
    """
    recipe = recipe or Recipe()
    plan = Plan.of(model, recipe)
    if calibration is None:
        covers = synthetic.covers(model, recipe)
        values = synthetic.run(model, synthetic.samples(model, recipe))
    else:
        covers = {str(v.name): recipe.input_range for v in model.graph.inputs} if recipe.input_range else {}
        values = execute.run(model, calibration)
    seen = observe(model, values, histograms=plan.histograms(), means=plan.means())
    scheme = choose(plan, seen, covers, synthetic=calibration is None)
    source = "synthetic" if calibration is None else "data"
    return replace(scheme, options={**scheme.options, "calibration": source, "batches": seen.runs})
