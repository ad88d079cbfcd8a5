"""Which values are too noisy in 8 bits, by what was seen of them."""

from __future__ import annotations

import math
from collections.abc import Collection

import onnx_ir as ir

from edgegate.quant import mixing, rows
from edgegate.quant.histogram import fit
from edgegate.quant.observe import Observation
from edgegate.quant.ranges import cut
from edgegate.quant.recipe import Recipe
from edgegate.quant.sharing import Groups


def noisy(
    model: ir.Model, groups: Groups, recipe: Recipe, seen: Observation, names: Collection[str], least: float
) -> set[str]:
    """The owners among ``names`` that 8 bits store with less than ``least`` dB of signal over noise.

    The noise is that of the bulk of the values (:meth:`edgegate.quant.histogram.Histogram.noise`), that of the
    smallest row of a norm (:mod:`edgegate.quant.rows`), and that of inputs which the range was not cut for
    (:func:`edgegate.quant.histogram.room`), unless the
    recipe says how to cut it.
    """
    floors = dict.fromkeys(mixing.behind(model, groups), max(least, mixing.LEAST))
    found = set()
    for name in names:
        storage = fit(*cut(seen.histograms[name], recipe, "int8"), "int8")
        if (
            seen.histograms[name].noise(storage) < floors.get(name, least)
            or rows.ratio(storage, seen.powers.get(name, math.inf)) < least
            or (recipe.method == "mse" and seen.histograms[name].room("int8")[1] < least)
        ):
            found.add(name)
    return found
