"""A ratio of signal to noise that is asked for: the fewest values in 16 bits with which the integers reach it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from edgegate.errors import CompileError
from edgegate.quant.choose import Plan, choose
from edgegate.quant.histogram import Histogram
from edgegate.quant.observe import Observation
from edgegate.quant.ranges import Range
from edgegate.quant.recipe import Recipe
from edgegate.quant.scheme import Scheme

LOG = logging.getLogger("edgegate")
RISE, TOP = 4.0, 60.0
"""dB between two trials, and the last before all activations have 16 bits: what is cleaner in 8 stays there."""


def reaching(
    plan: Plan, seen: Observation, covers: dict[str, Range], measure: Callable[[Scheme], float]
) -> tuple[Recipe, float]:
    """The first recipe, of ever more 16-bit values, with which ``plan.recipe.sqnr`` is reached, and what it reaches.

    Each trial has ranges that are cut to one half of the inputs and is measured on the other: what a range was cut to
    says little of what it clips.

    Args:
        plan: Of the model; its recipe has a ``sqnr``.
        seen: What ``plan`` asked for, of two samples at least.
        covers: Least ranges known without looking, by value name.
        measure: The ratio in dB of the integers of a scheme, over the odd samples.

    Raises:
        CompileError: No recipe reaches it.
    """
    half, wanted, reached = _first_half(seen), float(plan.recipe.sqnr or 0), 0.0
    for recipe in _rising(plan.recipe):
        reached = measure(choose(replace(plan, recipe=recipe), half, covers))
        LOG.info("16 bits for what has less than %s dB in 8: %.1f dB", recipe.int16_below, reached)
        if reached >= wanted:
            return recipe, reached
    what = f"with 16 bits for every activation its integers have {reached:.2f} dB against float, not {wanted:g}"
    fix = f"its weights have 8 bits, which may allow no more: ask for {max(reached - 0.5, 0):.0f} dB"
    raise CompileError("the model", what, fix)


def _first_half(seen: Observation) -> Observation:
    """What was seen, with the ranges of the even samples.

    Raises:
        ValueError: There were no others.
    """
    if not any(h.halves for h in seen.histograms.values()):
        raise ValueError("sqnr is measured on every other sample of calibration data: give two at least")
    firsts = {name: Histogram.halved(h.halves[:1], h.halves) if h.halves else h for name, h in seen.histograms.items()}
    return replace(seen, histograms=firsts)


def _rising(recipe: Recipe) -> Iterator[Recipe]:
    """``recipe``, and others with more and more values in 16 bits."""
    yield recipe
    if recipe.activation_bits == 16:
        return
    least = 0.0 if recipe.int16_below is None else recipe.int16_below
    while least + RISE <= TOP:
        least += RISE
        yield replace(recipe, int16_below=least)
    yield replace(recipe, activation_bits=16)
