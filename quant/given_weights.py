"""Weights that were quantized before they came here: stored as the integers that they were.

A layer carries their grid as metadata (:mod:`edgegate.passes.read_qdq` writes it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from edgegate.errors import CompileError, Problem
from edgegate.graph import GRID, Array, where
from edgegate.passes._grids import grid
from edgegate.quant.storage import Storage, WeightStorage
from edgegate.quant.weights import BIAS_BITS, Layer, least_scales, live_channels

OFF_GRID = 2.0**-10
"""How far, in steps, a float weight may lie from its grid: float32 rounds it, and a folded norm rounds again."""
ON_STEP, ROUNDED = 2.0**-7, 2.0**-22
"""A bias this near to a step of its accumulator lies on it: in steps, and relative to the bias, for float32 rounds."""
FINE = 128
"""So many steps of an accumulator make one of an 8-bit output, if its bias was not quantized."""


def free(found: Iterable[Layer]) -> list[Layer]:
    """The layers whose weights nobody has quantized."""
    return [layer for layer in found if GRID not in layer.node.metadata_props]


def given_weights(found: Iterable[Layer], values: Mapping[str, Storage]) -> dict[str, WeightStorage]:
    """The storage of every weight initializer whose layer carries a grid.

    A channel of zeros lies on any grid: it keeps its own scale, but one at which its bias fits. Where a bias was
    left unquantized and the steps of the accumulator are too coarse for it, the weights are stored as their
    integers times a power of two, as far as 8 bits go, and their scales divided by it: the same numbers.

    Args:
        found: The layers.
        values: How activations are stored.

    Raises:
        CompileError: Weights do not lie on their grid, or two layers put different grids on one initializer.
    """
    result: dict[str, WeightStorage] = {}
    problems = []
    for layer in found:
        told = grid(layer.node)
        if told is None:
            continue
        storage, name = _storage(layer, values, *told), str(layer.weight.name)
        both = storage and _finer(layer, storage, result.get(name, storage))
        if both is None:
            what = f"its weights {name} do not lie on the grid that they were quantized to"
            problems.append(Problem(where=where(layer.node), what=what, fix="report this bug"))
        else:
            result[name] = both
    if problems:
        raise CompileError.of(problems)
    return result


def _finer(layer: Layer, first: WeightStorage, second: WeightStorage) -> WeightStorage | None:
    """The one with the smaller steps; None if the weights that two layers share are not the same numbers in both."""
    weight = layer.data()
    one, other = (s.dequantize(s.quantize(weight)) for s in (first, second))
    if not np.array_equal(one, other):
        return None
    return first if first.bits >= second.bits else second


def _storage(layer: Layer, values: Mapping[str, Storage], bits: int, scales: Array) -> WeightStorage | None:
    """None if the weights are not what the grid says."""
    data = layer.data().astype(np.float64)
    channels = data.shape[layer.axis]
    if len(scales) not in (1, channels):
        return None
    live = live_channels(layer)
    wide = np.where(live, scales, np.maximum(scales, least_scales(layer, values[layer.source])))
    shift = _shift(layer, values, bits, np.where(live, wide, 0.0))
    try:
        storage = WeightStorage(bits=bits, axis=layer.axis, scales=tuple(wide.tolist()))
    except ValueError as error:
        fix = "train with another scale, or fewer bits"
        raise CompileError(where(layer.node), f"its weights cannot be stored: {error}", fix) from error
    steps = data / storage.spread(data.ndim)
    exact = np.abs(steps - np.rint(steps)).max(initial=0) < OFF_GRID and np.abs(steps).max(initial=0) < storage.high + 1
    finer = tuple(np.where(live, np.ldexp(storage.scales, -shift), storage.scales).tolist())
    return replace(storage, bits=bits + shift, scales=finer) if exact else None


def _shift(layer: Layer, values: Mapping[str, Storage], bits: int, scales: Array) -> int:
    """By how many bits to widen the weights for the sake of a bias that does not lie on the accumulator's steps.

    Args:
        layer: The layer.
        values: How activations are stored.
        bits: Of its weights.
        scales: float64 [channels], 0 for a channel without weights, whose scale fits its bias already.
    """
    steps = scales * values[layer.source].scale
    bias = np.where(scales > 0, layer.bias_data() / np.where(scales > 0, steps, 1.0), 0.0)
    off = np.abs(bias - np.rint(bias)) > np.maximum(ON_STEP, np.abs(bias) * ROUNDED)
    if not off.any():
        return 0
    target = values[layer.output]
    wanted = steps[off].max() * FINE / target.scale / (128 if target.dtype == "int16" else 1)
    room = [8 - bits, math.frexp(wanted)[1], BIAS_BITS[values[layer.source].dtype] - math.frexp(np.abs(bias).max())[1]]
    return max(0, min(room))
