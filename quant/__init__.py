"""Quantization: a float model in; the model with its transforms, a Scheme and a Report out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import onnx_ir as ir

from edgegate.graph import Array
from edgegate.quant import execute, synthetic
from edgegate.quant.apply import apply_transforms
from edgegate.quant.attention import plan_attention
from edgegate.quant.block_rounding import round_blocks
from edgegate.quant.blocks import plan_blocks
from edgegate.quant.choose import Plan, choose
from edgegate.quant.kvsort import apply_products
from edgegate.quant.logarithms import warnings
from edgegate.quant.observe import observe, samples_of
from edgegate.quant.product_storage import ProductStorage, no_integers
from edgegate.quant.recipe import Recipe
from edgegate.quant.report import Report
from edgegate.quant.rising import reaching
from edgegate.quant.rows import Rows
from edgegate.quant.scheme import Option, Scheme
from edgegate.quant.settling import Peaks
from edgegate.quant.storage import BlockStorage, Storage, WeightStorage
from edgegate.quant.transform_storage import TransformStorage

__all__ = [
    "BlockStorage", "ProductStorage", "Recipe", "Report", "Scheme", "Storage", "TransformStorage", "WeightStorage",
    "quantize", "quantize_scheme",
]  # fmt: skip

LOG = logging.getLogger("edgegate")

Batches = Iterable[Mapping[str, Array]]


def quantize(
    model: ir.Model, recipe: Recipe | None = None, calibration: Batches | None = None, *, integer: bool = True,
    measure: Callable[[ir.Model, Scheme], float] | None = None,
) -> tuple[ir.Model, Scheme, Report]:  # fmt: skip
    """Decide how a model is stored, and bring its transforms into it: the same for the same model, data and recipe.

    Args:
        model: Float, normalised by ``edgegate.passes.FLOAT``. It is changed: channels of keys and queries are scaled
            and sorted, transforms are folded or inserted, and the weights that read them make up for them, so it
            computes what it did.
        recipe: What is asked for.
        calibration: Batches of the model's inputs, read up to three times, one batch at a time. None: synthetic
            inputs, and the gains and moments of norms.
        integer: Whether the scheme says of every value how it is stored, for ``to_integer``; else of the layers in
            blocks alone, for ``to_qdq``.
        measure: The signal-to-noise ratio in dB that the integers of a scheme have against ``model``, over the odd
            samples; needed where the recipe asks for one.

    Returns:
        The model, the scheme, and what was done to each layer.

    Raises:
        CompileError: Weights are NaN or infinite, or the float model computes NaN or infinity, or queries and keys
            are to be stored in blocks of a program of integers, or the ratio that is asked for cannot be reached.
        InputError: A calibration batch does not fit the model.
        ValueError: There is no calibration batch, it can be read only once, or a pattern of the recipe matches
            nothing.
    """
    recipe = recipe or Recipe()
    if isinstance(calibration, Iterator):
        raise ValueError("calibration is read more than once: give a list of batches, not an iterator")
    if recipe.rounding == "gptq" and calibration is None:
        raise ValueError("gptq rounds by what the layers read: give calibration data, or round to nearest")
    if integer and recipe.keys != "none":
        raise no_integers(f"keys {recipe.keys}")
    attention = plan_attention(model, recipe, calibration)
    apply_products(model, attention.products)
    plan = plan_blocks(model, recipe, calibration, integer=integer)
    apply_transforms(model, plan.transforms)
    done = round_blocks(model, plan.storages, plan.transforms, plan.inputs, recipe)

    def complete(scheme: Scheme) -> Scheme:
        biases = {**scheme.biases, **done.biases}
        return replace(scheme, biases=biases, transforms=plan.transforms, products=attention.products)

    if integer:
        trial = None if measure is None else lambda scheme: measure(model, complete(scheme))
        scheme = quantize_scheme(model, calibration, recipe, done.storages, plan.factors, trial)
    else:
        scheme = Scheme(values={}, blocks=done.storages, options=recipe.options())
    scheme = complete(scheme)
    told = warnings(model) if integer else []
    for sentence in told:
        LOG.warning(sentence)
    return model, scheme, replace(plan.report, attention=attention.report, warnings=tuple(told))


def quantize_scheme(
    model: ir.Model,
    calibration: Batches | None = None,
    recipe: Recipe | None = None,
    blocks: Mapping[str, BlockStorage] | None = None,
    factors: Mapping[str, float] | None = None,
    measure: Callable[[Scheme], float] | None = None,
) -> Scheme:
    """How to store every value of ``model``, which is not touched.

    Args:
        model: Float, normalised by ``edgegate.passes.FLOAT``, its transforms applied.
        calibration: Batches of the model's inputs, read once and one at a time. None: synthetic inputs, and
            the moments that folded norms left behind.
        recipe: What is asked for; its formats are not read.
        blocks: The layers in blocks, by the name of their weights.
        factors: By what values that layers in blocks read are multiplied before they are blocks, by name: a matter
            of their scales, since those need be no powers of two.
        measure: As :func:`quantize` takes it, of this model.

    Raises:
        CompileError: Weights are NaN or infinite, the float model computes NaN or infinity, or the ratio that the
            recipe asks for cannot be reached.
        InputError: A calibration batch does not fit the model.
        ValueError: There is no calibration batch, or a pattern of the recipe matches nothing.
    """
    recipe = recipe or Recipe()
    if recipe.sqnr is not None and (calibration is None or measure is None):
        raise ValueError("sqnr is measured: give calibration data")
    plan = Plan.of(model, recipe, blocks, factors)
    if plan.is_given():
        return Scheme(values=plan.given_values(), options=recipe.options())
    if calibration is None:
        covers = synthetic.covers(model, recipe)
        values = synthetic.run(model, synthetic.samples(model, recipe))
    else:
        covers = {str(v.name): recipe.input_range for v in model.graph.inputs} if recipe.input_range else {}
        values = execute.run(model, calibration)
    peaks, rows = Peaks(plan.recurrences), Rows(model)
    batch = None if calibration is None else samples_of(model)
    seen = observe(
        model, rows.watch(peaks.watch(values)), histograms=plan.histograms(), means=plan.means(), batch=batch
    )
    seen = replace(seen, powers=rows.powers(plan.groups))
    for sentence in peaks.warnings(seen.means):
        LOG.warning(sentence)
    told: dict[str, Option] = {"calibration": "synthetic" if calibration is None else "data", "batches": seen.runs}
    if recipe.sqnr is not None and measure is not None:
        recipe, told["sqnr_reached"] = reaching(plan, seen, covers, measure)
    scheme = choose(replace(plan, recipe=recipe), seen, covers, synthetic=calibration is None)
    return replace(scheme, options={**scheme.options, **told})
