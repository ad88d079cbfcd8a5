"""Block formats for the layers of a model: which, with which transform, and what it does to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, where
from edgegate.quant import execute, synthetic
from edgegate.quant.block_rounding import InputMoments
from edgegate.quant.folds import tied, tied_blocks
from edgegate.quant.given_groups import check_given, with_inputs
from edgegate.quant.layer_formats import keeps_weights, layer_formats
from edgegate.quant.moments import Moments, Source, gamma_moments
from edgegate.quant.norm_gains import norm_gains
from edgegate.quant.recipe import Recipe
from edgegate.quant.report import LayerReport, Report, described, in_int8
from edgegate.quant.selection import Choice, Foldable, select
from edgegate.quant.sharing import Groups
from edgegate.quant.site_statistics import SiteStatistics
from edgegate.quant.sites import Site, sites
from edgegate.quant.storage import BlockStorage
from edgegate.quant.transform_storage import TransformStorage
from edgegate.quant.weights import Layer, layers

Batches = Iterable[Mapping[str, Array]]


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """What was decided.

    Attributes:
        storages: By the name of a layer's weights.
        transforms: As a Scheme has them.
        report: Of every layer.
        inputs: Of the layers in blocks, by the name of the weights.
        factors: By what a value is multiplied before it is cut into blocks, by its name.
    """

    storages: Mapping[str, BlockStorage] = field(default_factory=dict)
    transforms: Mapping[str, TransformStorage] = field(default_factory=dict)
    report: Report
    inputs: Mapping[str, InputMoments] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)


def plan_blocks(model: ir.Model, recipe: Recipe, calibration: Batches | None, *, integer: bool = True) -> BlockPlan:
    """Choose formats and transforms for the layers of a model, which is not changed.

    Args:
        model: Float, normalised.
        recipe: What is asked for.
        calibration: Batches of the model's inputs, read once; None: there are none.
        integer: Whether activations will be integers, whose scales can be chosen for their blocks.

    Raises:
        CompileError: Weights or values are not finite, or weights would not stay what they were trained to be.
        ValueError: A pattern of the recipe matches no layer.
    """
    found = layers(model)
    chosen: Mapping[str, BlockStorage | None] = layer_formats(found, recipe.formats)
    if integer:
        chosen = with_inputs(found, chosen, Groups(model))
    wanted, reasons = sites(found, chosen)
    check_given(found, chosen, reasons)
    seen = _observe(model, recipe, calibration, wanted) if wanted else {}
    choices = [_choose(model, recipe, site, seen[site.name], calibration is None, integer) for site in wanted]
    transforms: dict[str, TransformStorage] = {}
    for choice in choices:
        if choice.candidate.transform.kind != "identity":
            transforms[_unused(f"{choice.site.source.name}.transform", transforms)] = stored(choice)
    return BlockPlan(
        storages={str(a.weight.name): c.site.storage for c in choices for a in c.site.layers},
        transforms=transforms,
        report=_report(found, choices, reasons),
        factors={str(c.site.source.name): c.candidate.factor for c in choices if c.candidate.factor != 1},
        inputs={
            str(layer.weight.name): InputMoments(mean=seen[site.name].mean(), hessian=seen[site.name].hessian())
            for site in wanted
            for layer in site.layers
        },
    )


def _observe(
    model: ir.Model, recipe: Recipe, calibration: Batches | None, wanted: Sequence[Site]
) -> dict[str, SiteStatistics]:
    """Statistics of every site, by its name."""
    source: Source = "synthetic" if calibration is None else "calibration"
    feedback = recipe.rounding == "gptq"
    seen = {s.name: SiteStatistics(s, source, hessian=feedback, seed=recipe.seed) for s in wanted}
    by_value: dict[str, list[SiteStatistics]] = {}
    for statistics in seen.values():
        by_value.setdefault(str(statistics.site.source.name), []).append(statistics)
    runs = 0
    if calibration is None:
        values = synthetic.run(model, synthetic.samples(model, recipe))
    else:
        values = execute.run(model, calibration)
    for made in values:
        runs += 1
        for name in by_value.keys() & made.keys():
            for statistics in by_value[name]:
                _add(statistics, made[name])
    if not runs:
        raise ValueError("there is no calibration data: it holds no batch")
    return seen


def _add(statistics: SiteStatistics, values: Array) -> None:
    try:
        statistics.add(values)
    except ValueError as e:
        source = statistics.site.source
        producer = source.producer()
        what = f"the float model computes NaN or infinity in {source.name}"
        place = str(source.name) if producer is None else where(producer)
        raise CompileError(place, what, "check the weights and the calibration data") from e


def _choose(model: ir.Model, recipe: Recipe, site: Site, seen: SiteStatistics, blind: bool, integer: bool) -> Choice:
    nodes = [layer.node for layer in site.layers]
    if any(keeps_weights(layer, site.storage) for layer in site.layers):  # its blocks were formed of the reals
        recipe, integer = replace(recipe, transform="none"), False
    diagonal = blocks = None
    if recipe.transform in ("auto", "wush-diag"):
        diagonal = tied(model, site.source, site.axis, readers=nodes)
    if recipe.transform in ("auto", "wush"):
        blocks = tied_blocks(model, site.source, site.block, site.axis, readers=nodes)
    foldable = Foldable(diagonal=diagonal, blocks=blocks)
    return select(site, _moments(site, seen, blind), seen.held_out(), recipe, foldable, free_scale=integer)


def _moments(site: Site, seen: SiteStatistics, blind: bool) -> Moments:
    """From the norm before the site if there is no data, else from what was seen."""
    gains = norm_gains(site.source, site.axis) if blind else None
    return seen.moments() if gains is None else gamma_moments(*gains, site.block)


def stored(choice: Choice) -> TransformStorage:
    """The transform of a choice as data."""
    site, transform, folded = choice.site, choice.candidate.transform, choice.candidate.folded
    diagonal: tuple[float, ...] = ()
    matrices: tuple[int, ...] = ()
    if folded == "diagonal":
        assert transform.diagonal is not None, "a folded diagonal is there"
        diagonal = tuple(transform.diagonal.reshape(-1)[: site.channels].tolist())
    elif transform.kind != "hadamard":
        matrices = tuple(int(m) for m in transform.matrices.reshape(-1).tolist())
    return TransformStorage(
        source=str(site.source.name),
        readers=tuple(str(layer.weight.name) for layer in site.layers),
        kind="matrix" if matrices else "hadamard",
        block=site.block,
        online=folded != "all",
        diagonal=diagonal,
        matrices=matrices,
    )


def _unused(name: str, taken: Mapping[str, object]) -> str:
    unique, n = name, 0
    while unique in taken:
        n += 1
        unique = f"{name}_{n}"
    return unique


def _report(found: Sequence[Layer], choices: Sequence[Choice], reasons: Mapping[str, str]) -> Report:
    made: dict[str, LayerReport] = {r.name: r for choice in choices for r in described(choice)}
    entries = [made.get(a.output) or in_int8(a, reasons.get(a.output, "")) for a in found]
    moments = {str(c.site.source.name): c.source for c in choices}
    return Report(layers=tuple(entries), moments=moments)
