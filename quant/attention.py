"""Block formats for the products of queries and keys: what is scaled and sorted for them (K-sort)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from edgegate.graph import LAYER, Array, attribute, shape
from edgegate.quant import execute, synthetic
from edgegate.quant.attention_report import AttentionReport
from edgegate.quant.formats import BlockFormat, format_named
from edgegate.quant.kvsort.choose import Vectors, choose, logit_energies, logit_errors
from edgegate.quant.kvsort.model import drawn
from edgegate.quant.kvsort.sites import Refusal, Side, Site, attention_sites
from edgegate.quant.kvsort.stored import stored
from edgegate.quant.kvsort.vectors import SeenVectors
from edgegate.quant.norm_gains import norm_gains
from edgegate.quant.product_storage import ProductStorage, product_formats
from edgegate.quant.recipe import Recipe
from edgegate.quant.report import decibels

Batches = Iterable[Mapping[str, Array]]
Samples = tuple[Vectors, Vectors, str]
"""Vectors to make candidates of, others to compare them on, and where both came from."""


@dataclass(frozen=True, kw_only=True)
class AttentionPlan:
    """What was decided.

    Attributes:
        products: As a Scheme has them.
        report: Of every product, in graph order.
    """

    products: Mapping[str, ProductStorage] = field(default_factory=dict)
    report: tuple[AttentionReport, ...] = ()


def plan_attention(model: ir.Model, recipe: Recipe, calibration: Batches | None) -> AttentionPlan:
    """Choose what is done to the queries and keys of a model, which is not changed.

    Args:
        model: Float, normalised.
        recipe: What is asked for.
        calibration: Batches of the model's inputs, read once; None: there are none.

    Raises:
        CompileError: The float model computes NaN or infinity.
        ValueError: The model multiplies no queries with keys, or there is no batch.
    """
    formats = product_formats(recipe.keys)
    if formats is None:
        return AttentionPlan()
    found, refused = attention_sites(model)
    if not found and not refused:
        raise ValueError(f"keys are to be {recipe.keys}, but the model multiplies no queries with keys")
    samples = _samples(model, recipe, calibration, found)
    made: dict[ir.Node, tuple[ProductStorage | None, AttentionReport]]
    made = {s.node: _chosen(s, formats, samples[s.node]) for s in found}
    made |= {refusal.node: _refused(refusal, formats) for refusal in refused}
    ordered = [made[node] for node in model.graph if node in made]
    return AttentionPlan(
        products={entry.name: storage for storage, entry in ordered if storage is not None},
        report=tuple(entry for _, entry in ordered),
    )


def _samples(
    model: ir.Model, recipe: Recipe, calibration: Batches | None, found: Sequence[Site]
) -> dict[ir.Node, Samples]:
    """Vectors of every site: of the data, else of the norm before its layers, else of a synthetic run."""
    known = {} if calibration is not None else {s.node: v for s in found if (v := _of_norm(s, recipe)) is not None}
    seen = {s.node: SeenVectors(s, recipe.seed) for s in found if s.node not in known}
    if not seen:
        return known
    if calibration is None:
        values = synthetic.run(model, synthetic.samples(model, recipe))
    else:
        values = execute.run(model, calibration)
    runs = 0
    for runs, made in enumerate(values, 1):  # noqa: B007
        for vectors in seen.values():
            vectors.add(made)
    if not runs:
        raise ValueError("there is no calibration data: it holds no batch")
    source = "synthetic" if calibration is None else "calibration"
    return {**known, **{node: (*vectors.vectors(), source) for node, vectors in seen.items()}}


def _of_norm(site: Site, recipe: Recipe) -> Samples | None:
    """Gaussian vectors with the moments that the norm before both layers leaves; None if there is none."""
    source = site.q.layer.inputs[0]
    gains = None
    if source is not None and source is site.k.layer.inputs[0]:
        gains = norm_gains(source, len(shape(source)) - 1)
    if gains is None:
        return None
    gain, bias = gains
    fit, held_out = (drawn(site, gain**2, mean=bias, seed=2 * recipe.seed + i) for i in range(2))
    return fit, held_out, "gamma"


def _chosen(site: Site, formats: ProductStorage, samples: Samples) -> tuple[ProductStorage, AttentionReport]:
    fit, held_out, source = samples
    q_format = None if formats.queries is None else format_named(formats.queries)
    k_format = format_named(formats.keys)
    sorting = choose(fit, held_out, site.layout, q_format, k_format, shared=site.shared)
    before = logit_errors(held_out, site.layout, q_format, k_format)
    energy = max(float(logit_energies(held_out, site.layout).sum()), 1e-300)
    entry = AttentionReport(
        name=str(site.node.outputs[0].name), queries=_layer(site.q), keys=_layer(site.k),
        query_format=formats.queries or "float", key_format=formats.keys, groups=sorting.kinds, ratios=sorting.ratios,
        rotary=sorting.layout.rotary, sqnr_before=decibels(float(before.sum()) / energy),
        sqnr_after=decibels(float((before * sorting.ratios).sum()) / energy),
        bits_per_key=_bits(k_format, site.layout.size), vectors=source,
    )  # fmt: skip
    return stored(formats, sorting), entry


def _refused(refusal: Refusal, formats: ProductStorage) -> tuple[ProductStorage | None, AttentionReport]:
    """A product whose channels stay; it is stored in blocks all the same, if its operands arrive as heads."""
    node, name = refusal.node, str(refusal.node.outputs[0].name)
    key, cached = node.inputs[1], any(v is not None for v in node.inputs[4:6])
    if node.op_type == "Attention" and cached:
        return None, AttentionReport(name=name, reason=f"{refusal.why}, which stays as it is")
    assert key is not None, "a product has two operands"
    size = shape(key)[-2 if node.op_type == "MatMul" else -1]
    if node.op_type == "Attention" and len(shape(key)) == 3:
        size //= int(attribute(node, "kv_num_heads", 1))
    entry = AttentionReport(
        name=name, query_format=formats.queries or "float", key_format=formats.keys,
        bits_per_key=_bits(format_named(formats.keys), size), reason=refusal.why,
    )  # fmt: skip
    return formats, entry


def _layer(side: Side) -> str:
    return side.layer.metadata_props.get(LAYER, "")


def _bits(form: BlockFormat, size: int) -> float:
    """Bits per value of a head of ``size`` channels in whole blocks."""
    return form.bits_per_value * (size + -size % form.block) / size
