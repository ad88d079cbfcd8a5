"""The range of every storage: what was seen, cut by the recipe's method, and what is known without looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import array
from edgegate.quant.histogram import Histogram
from edgegate.quant.recipe import Recipe
from edgegate.quant.scalar_ops import scalar_function
from edgegate.quant.sharing import CLIPS, UNARY, Groups, is_float

Range = tuple[float, float]
HEADROOM = 1.5
"""Without data, values of unknown moments get so much more than was seen of them.

Synthetic inputs excite each channel as the data would, but not the combinations that a trained net looks
for: its logits reach further than any noise can push them.
"""
WIDE_HEADROOM = 2.0
"""Values in 16 bits get so much more than was seen or known of them.

The next input reaches further than all of calibration, in some channel of some layer, and a clipped channel is
wrong by more than all rounding. Of 16 bits one is a small price for that; 8 have none to spare.
"""


def cut(histogram: Histogram, recipe: Recipe, dtype: str) -> Range:
    """The range of one histogram by the recipe's method."""
    if recipe.method == "minmax" or dtype == "int16":  # 16 bits have room for everything
        return histogram.low, histogram.high
    if recipe.method == "percentile":
        return histogram.percentile(recipe.percentile)
    low, high = histogram.best(dtype)
    factor, _ = histogram.room(dtype)
    return low * factor, high * factor


def measured(
    model: ir.Model,
    groups: Groups,
    histograms: Mapping[str, Histogram],
    wide: set[str],
    recipe: Recipe,
    covers: Mapping[str, Range],
) -> dict[str, Range]:
    """The range of every owner, from calibration data.

    Args:
        model: For padding constants and clips.
        groups: Of its values.
        histograms: By owner.
        wide: The owners with 16 bits.
        recipe: How to cut.
        covers: Least ranges, by value name.
    """
    least = through_clips(model, covers)
    result = {}
    for name in groups.owners():
        seen = cut(histograms[name], recipe, "int16" if name in wide else "int8")
        result[name] = union(seen, least.get(name, seen))
    return _padded(model, groups, result)


def synthesised(
    model: ir.Model, groups: Groups, histograms: Mapping[str, Histogram], covers: Mapping[str, Range]
) -> dict[str, Range]:
    """The range of every owner, from a synthetic run.

    Values of known range keep it. The others get :data:`HEADROOM`, nothing is cut off; but the result of a
    scalar function reaches no further than the function does over the range of its input.
    """
    least = through_clips(model, covers)
    makers = {str(n.outputs[0].name): n for n in model.graph if n.domain == UNARY or n.op_type in CLIPS}
    result: dict[str, Range] = {}
    for name in groups.owners():
        seen = histograms[name].low, histograms[name].high
        if name in least or name in model.graph.initializers:
            result[name] = union(seen, least.get(name, seen))
            continue
        low, high = seen[0] * HEADROOM if seen[0] < 0 else seen[0], seen[1] * HEADROOM if seen[1] > 0 else seen[1]
        source = makers[name].inputs[0] if name in makers else None
        before = result.get(groups.owner(str(source.name))) if source is not None else None
        image = (low, high) if before is None else _image(model, makers[name], before, (low, high))
        result[name] = union(seen, (max(low, image[0]), min(high, image[1])))
    return _padded(model, groups, result)


def roomy(model: ir.Model, ranges: Mapping[str, Range], wide: set[str]) -> dict[str, Range]:
    """``ranges``, with :data:`WIDE_HEADROOM` for what has 16 bits; constants are known and keep theirs."""
    factors = {name: WIDE_HEADROOM for name in wide if name not in model.graph.initializers}
    return {name: (low * f, high * f) for name, (low, high) in ranges.items() for f in [factors.get(name, 1.0)]}


def _image(model: ir.Model, node: ir.Node, before: Range, otherwise: Range) -> Range:
    """The least and greatest value of a scalar function over a range; ``otherwise`` where it has none."""
    function = scalar_function(model, node)
    try:
        y = otherwise if function is None else function(np.linspace(*before, 4097))
    except CompileError:  # to_integer says so, where it needs the table
        return otherwise
    return (float(np.min(y)), float(np.max(y))) if np.isfinite(y).all() else otherwise


def union(a: Range, b: Range) -> Range:
    """The least range that holds both."""
    return min(a[0], b[0]), max(a[1], b[1])


def through_clips(model: ir.Model, covers: Mapping[str, Range]) -> dict[str, Range]:
    """``covers``, and for each value that is a clipped one of them, the clipped range."""
    result = dict(covers)
    for node in model.graph:
        source = node.inputs[0] if node.inputs else None
        clip = scalar_function(model, node) if node.op_type in CLIPS and node.domain == "" else None
        if clip is not None and source is not None and source.name in result:
            low, high = clip(np.array(result[source.name]))
            result[str(node.outputs[0].name)] = float(low), float(high)
    return result


def _padded(model: ir.Model, groups: Groups, ranges: dict[str, Range]) -> dict[str, Range]:
    """``ranges``, widened to hold what the values are padded with."""
    for name, padding in _paddings(model):
        owner = groups.owner(name)
        ranges[owner] = union(ranges[owner], padding)
    return ranges


def _paddings(model: ir.Model) -> Iterator[tuple[str, Range]]:
    for node in model.graph:
        padding = array(node.inputs[2]) if node.op_type == "Pad" and len(node.inputs) > 2 else None
        if padding is not None and is_float(node.outputs[0]) and np.isfinite(padding).all():
            yield str(node.outputs[0].name), (float(padding.min()), float(padding.max()))
