"""From what was seen to a Scheme.

The rules, in the order in which they apply:

1. Values that integers only pass through share a storage; a value that is only clipped takes the clipped
   one's (:mod:`edgegate.quant.sharing`).
2. A range per storage: by the recipe's method, and at least what is known without looking; without data
   with headroom (:mod:`edgegate.quant.ranges`).
3. 16 bits where the recipe asks, or where every reader has a 16-bit form and products of two activations read them
   (:mod:`edgegate.quant.mixing`), 8 bits are too noisy (:mod:`edgegate.quant.noisy`), their scale is too much of
   a guess (:mod:`edgegate.quant.guesses`), a state is computed from itself (:mod:`edgegate.quant.recurrence`),
   all the model is a step, or a layer could overflow int32 with them (:mod:`edgegate.quant.accumulators`); a gate
   follows the value it multiplies.
4. Gates within [0, 1] or [-1, 1] have fixed powers of two (:mod:`edgegate.quant.gates`).
5. Inputs of a Concat, Max or Min share its storage if none loses more than one bit by it.
6. int8 asymmetric with an exact zero, int16 symmetric; int32 for a state that hardly forgets
   (:mod:`edgegate.quant.long_memory`).
7. Weight scales (:mod:`edgegate.quant.weights`) of the layers that are not in blocks, the same for masked parts of
   one matrix (:mod:`edgegate.quant.masked`); no output is finer than its accumulator.
8. Biases corrected for the rounding of the weights (:mod:`edgegate.quant.bias_correction`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir

from edgegate.graph import LAYER, array
from edgegate.quant import block_inputs, gates, long_memory, mixing
from edgegate.quant.accumulators import overflowing
from edgegate.quant.bias_correction import corrections
from edgegate.quant.given import between, known_ranges
from edgegate.quant.given_weights import free, given_weights
from edgegate.quant.guesses import compounded
from edgegate.quant.histogram import Histogram, fit
from edgegate.quant.joins import share
from edgegate.quant.logarithms import exponents
from edgegate.quant.long_memory import Recurrence, recurrences
from edgegate.quant.masked import families
from edgegate.quant.multiples import of_multiples
from edgegate.quant.noisy import noisy
from edgegate.quant.observe import Observation
from edgegate.quant.ranges import Range, measured, roomy, synthesised
from edgegate.quant.recipe import Recipe
from edgegate.quant.recurrence import accumulating, in_a_step
from edgegate.quant.scheme import Scheme
from edgegate.quant.sharing import GATE, UNARY, Groups, activations, is_float, is_move
from edgegate.quant.storage import BlockStorage, Storage, WeightStorage, coarser, narrowed
from edgegate.quant.weights import Layer, choose_weights, layers, live_channels
from edgegate.stages.loops import LOOP

WIDE_OPS = frozenset({
    ("", "Conv"), ("edgegate", "Linear"), ("edgegate", "Affine"), ("", "Add"), ("", "Sub"), ("", "Mul"), ("", "Max"),
    ("", "Div"), ("", "MatMul"), ("", "CumSum"),
    ("", "Min"), ("", "Relu"), ("", "Clip"), ("", "Concat"), ("", "ReduceMean"), ("", "ReduceSum"),
    ("", "AveragePool"), ("", "MaxPool"), ("", "ReduceMax"), ("", "ReduceMin"), ("", "Resize"),
    ("", "ScatterElements"), ("", "ArgMax"), ("", "ArgMin"), ("", "Cast"), ("", "Equal"), ("", "Greater"),
    ("", "GreaterOrEqual"), ("", "Less"), ("", "LessOrEqual"),
    ("edgegate", "FakeQuantize"),
    ("edgegate", "Transform"), ("edgegate", "HardGate"), ("edgegate", "RowNorm"), ("", "Softmax"),
    ("edgegate", "MaskedSoftmax"), ("", "LogSoftmax"),
})  # fmt: skip
"""Readers that have a form for 16-bit inputs, beside moves, unary functions and gates."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A model read once: what there is to store and what must be seen for it."""

    model: ir.Model
    recipe: Recipe
    groups: Groups
    layers: list[Layer]
    blocks: Mapping[str, BlockStorage]
    factors: Mapping[str, float]
    recurrences: list[Recurrence]
    slow: tuple[Recurrence, ...] = ()

    @classmethod
    def of(
        cls, model: ir.Model, recipe: Recipe, blocks: Mapping[str, BlockStorage] | None = None,
        factors: Mapping[str, float] | None = None,
    ) -> Plan:  # fmt: skip
        """Raises CompileError for NaN or infinite weights."""
        groups, found = Groups(model), layers(model)
        return cls(
            model=model, recipe=recipe, groups=groups, layers=found, blocks=blocks or {}, factors=factors or {},
            recurrences=recurrences(model),
        )  # fmt: skip

    @property
    def plain(self) -> list[Layer]:
        """The layers with a scale per output channel."""
        return [layer for layer in self.layers if layer.weight.name not in self.blocks]

    def is_given(self) -> bool:
        """Whether the model says of everything how it is stored, so that there is nothing to see."""
        return not self.layers and set(self.groups.owners()) <= set(self.groups.given)

    def given_values(self) -> dict[str, Storage]:
        """The storages that the model gives, by the name of the value."""
        owners = {str(v.name): self.groups.owner(str(v.name)) for v in activations(self.model)}
        return {name: self.groups.given[owner] for name, owner in owners.items() if owner in self.groups.given}

    def histograms(self) -> list[str]:
        """The values whose histograms decide."""
        return [name for name in self.groups.owners() if name not in self.model.graph.initializers]

    def means(self) -> dict[str, int]:
        """The values whose means per channel are needed, and their channel axes."""
        wanted = self.layers if self.recipe.bias_correction else []
        return long_memory.seen_of(self.recurrences) | {layer.source: layer.channel_axis for layer in wanted}


def choose(plan: Plan, seen: Observation, covers: Mapping[str, Range], *, synthetic: bool = False) -> Scheme:
    """The Scheme.

    Args:
        plan: Of the model.
        seen: What ``plan`` asked for.
        covers: Least ranges known without looking, by value name.
        synthetic: Whether what was seen is a synthetic run.

    Raises:
        ValueError: A pattern of the recipe matches nothing.
    """
    histograms = {**seen.histograms, **_constants(plan)}
    kinds = {str(n.outputs[0].name): n for n in plan.model.graph if gates.kind(plan.model, n)}
    narrow = _read_narrow(plan.model)
    plan = replace(plan, slow=long_memory.slow(plan.groups, plan.recurrences, seen.means, narrow))
    wide = _wide(plan, replace(seen, histograms=histograms), kinds, synthetic)
    while True:
        fresh = replace(plan, groups=Groups(plan.model))
        stored, weights = _store(fresh, histograms, wide, kinds, covers, synthetic)
        more = {plan.groups.owner(name) for name in overflowing(plan.plain, stored, weights)} - wide
        more = {n for n in more if narrow.isdisjoint(plan.groups.members()[n]) and n not in plan.groups.given}
        if not more:
            break
        wide |= _with_gates(plan, wide | more, kinds)
    stored = _coarsen(fresh, stored, {name: np.array(w.scales) for name, w in weights.items()})
    stored = block_inputs.within_int32(fresh.groups, fresh.layers, fresh.blocks, stored)
    stored = block_inputs.in_their_powers(fresh.groups, fresh.layers, fresh.blocks, fresh.factors, stored)
    biases = corrections(free(plan.plain), weights, seen.means) if plan.recipe.bias_correction else {}
    return Scheme(
        values=stored, weights=weights, biases=biases, blocks=plan.blocks, options=plan.recipe.options()
    )  # fmt: skip


def _store(
    plan: Plan, histograms: Mapping[str, Histogram], wide: set[str], kinds: Mapping[str, ir.Node],
    covers: Mapping[str, Range], synthetic: bool,
) -> tuple[dict[str, Storage], dict[str, WeightStorage]]:  # fmt: skip
    """Every value and weight, once it is known which owners have 16 bits. Joins groups of ``plan``."""
    if synthetic:
        ranges = synthesised(plan.model, plan.groups, histograms, covers)
    else:
        ranges = measured(plan.model, plan.groups, histograms, wide, plan.recipe, covers)
    ranges, groups = roomy(plan.model, ranges, wide), plan.groups
    fixed = {name: s for name, node in kinds.items() if (s := _fixed(plan, node, ranges, wide)) is not None}
    fixed |= groups.given | long_memory.storages(groups, plan.recurrences, plan.slow, ranges)
    ranges |= {name: r for name, r in known_ranges(plan.model).items() if name in ranges}
    share(plan.model, groups, ranges, wide, fixed)
    values = {}
    for name in plan.groups.owners():
        values[name] = fixed.get(name) or fit(*ranges[name], "int16" if name in wide else "int8")
    values = of_multiples(plan.model, plan.groups, values, fixed)
    stored = {str(v.name): values[plan.groups.owner(str(v.name))] for v in activations(plan.model)}
    read = {name: narrowed(storage) for name, storage in stored.items()}
    found = free(plan.plain)
    chosen = choose_weights(found, read, plan.recipe.weight_method, families(found))
    return stored, {**chosen, **given_weights(plan.plain, read)}


def _constants(plan: Plan) -> dict[str, Histogram]:
    """Histograms of the constants that are stored as activations are."""
    result = {}
    for value in activations(plan.model):
        data = array(value)
        if data is not None:
            result[str(value.name)] = Histogram()
            result[str(value.name)].add(data)
    return result


def _wide(plan: Plan, seen: Observation, kinds: Mapping[str, ir.Node], synthetic: bool) -> set[str]:
    """The owners that get 16 bits."""
    groups, recipe = plan.groups, plan.recipe
    if recipe.activation_bits == 16:
        return set(groups.owners()) - set(groups.given)
    wide = {groups.owner(name) for pattern in recipe.int16 for name in _matching(plan.model, pattern)}
    members, narrow = groups.members(), _read_narrow(plan.model)
    read = block_inputs.owners(groups, plan.layers, plan.blocks)
    read |= block_inputs.factors(plan.model, groups, read)
    wide |= {name for name in read if narrow.isdisjoint(members[name])}
    wide |= between(plan.model, members, narrow) - set(kinds)
    held = accumulating(plan.model, groups) | long_memory.wide(groups, plan.recurrences)
    held |= in_a_step(plan.model, groups, plan.layers) if recipe.activation_bits is None else set()
    if recipe.int16_below is not None:
        held |= mixing.mixed(plan.model, groups) | exponents(plan.model, groups)
    wide |= {name for name in held if narrow.isdisjoint(members[name])}
    if recipe.int16_below is not None:
        guessed = compounded(plan.model, recipe, kinds) if synthetic else set()
        rest = set(groups.owners()) - wide - set(kinds)
        found = noisy(plan.model, groups, recipe, seen, rest, recipe.int16_below)
        found |= {name for name in rest if not guessed.isdisjoint(members[name])}
        wide |= {name for name in found if narrow.isdisjoint(members[name])}
    return _with_gates(plan, wide, kinds) - set(groups.given)


def _with_gates(plan: Plan, wide: set[str], kinds: Mapping[str, ir.Node]) -> set[str]:
    """The owners ``wide``, and the gates that multiply one of them."""
    result = set(wide)
    for node in plan.model.graph:
        if node.domain == GATE:
            value, gate = (plan.groups.owner(str(v.name)) for v in node.inputs if v is not None)
            if value in result and gate in kinds:
                result.add(gate)
    return result


def _matching(model: ir.Model, pattern: str) -> list[str]:
    """Names of the values that a pattern means, by their own name or their layer's."""
    names = [str(v.name) for v in activations(model)]
    layered = [(n.metadata_props.get(LAYER, ""), v) for n in model.graph for v in n.outputs if is_float(v)]
    found = [name for name in names if fnmatchcase(name, pattern)]
    found += [str(v.name) for layer, v in layered if fnmatchcase(layer, pattern)]
    if not found:
        near = get_close_matches(pattern, [*names, *(layer for layer, _ in layered)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"the int16 pattern {pattern!r} matches no layer and no value{hint}")
    return found


def _read_narrow(model: ir.Model) -> set[str]:
    """The values that some reader can only read in 8 bits."""
    return {str(v.name) for n in model.graph if not _reads_wide(n) for v in n.inputs if is_float(v)}


def _reads_wide(node: ir.Node) -> bool:
    if node.op_type == "Conv":
        weight = array(node.inputs[1])
        return weight is not None and weight.ndim in (3, 4)
    return (node.domain, node.op_type) in WIDE_OPS or node.domain in (GATE, UNARY, LOOP) or is_move(node)


def _fixed(plan: Plan, node: ir.Node, ranges: Mapping[str, Range], wide: set[str]) -> Storage | None:
    name = str(node.outputs[0].name)
    if plan.groups.owner(name) != name:
        return None
    reach = max(map(abs, ranges[name]))
    return gates.storage(plan.model, node, "int16" if name in wide else "int8", reach)


def _coarsen(plan: Plan, stored: Mapping[str, Storage], weights: Mapping[str, np.ndarray]) -> dict[str, Storage]:
    """No output finer than the accumulator it is rescaled from: the factor stays in the domain of Rescale."""
    least: dict[str, float] = {}
    result = dict(stored)

    def scale(name: str) -> float:
        return max(result[name].scale, least.get(plan.groups.owner(name), 0.0))

    for output, product in _products(plan, weights):
        owner = plan.groups.owner(output)
        factors = [f if isinstance(f, float) else scale(f) for f in product]
        least[owner] = max(least.get(owner, 0.0), float(np.prod(factors)))
    for name, storage in stored.items():
        floor = 0.0 if plan.groups.owner(name) in plan.groups.given else least.get(plan.groups.owner(name), 0.0)
        result[name] = coarser(storage, floor)
    return result


def _products(plan: Plan, weights: Mapping[str, np.ndarray]) -> Iterable[tuple[str, tuple[str | float, ...]]]:
    """(output, factors of its accumulator's scale) of every node that multiplies; names stand for scales."""
    known = {id(layer.node): layer for layer in plan.plain}
    for node in plan.model.graph:
        output = str(node.outputs[0].name)
        layer = known.get(id(node))
        if layer is not None:
            live = live_channels(layer)
            if live.any():
                yield output, (layer.source, float(weights[str(layer.weight.name)][live].max()))
        elif node.op_type == "Transform" and node.inputs[0] is not None:
            yield output, (str(node.inputs[0].name), 1.0)
        elif node.domain == GATE or (node.domain, node.op_type) in {("", "MatMul"), ("", "Mul")}:
            a, b = node.inputs[:2]
            if a is not None and b is not None and a.name in plan.groups and b.name in plan.groups:
                yield output, (str(a.name), str(b.name), 2.0)
