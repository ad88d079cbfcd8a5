"""Calibration without data: synthetic inputs, and a run that is put right wherever a norm once stood.

A batch norm that was folded into its convolution left the moments of its output behind (mean ``beta`` and
deviation ``|gamma|`` per channel, in the node's metadata). The synthetic run restores them: it carries all
samples from one such node to the next, takes the statistics of its output over samples and positions, and
maps every channel to the recorded moments. So all that follows is seen at the scale it was trained at,
whatever the synthetic inputs were; only where channels move together is left to chance.

Source: the moments of normalised activations as a substitute for data: Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2; matching them in
synthetic inputs: Cai et al., "ZeroQ", CVPR 2020, equation 1. Here the run matches them, not the inputs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, array, attribute, shape, states, where
from edgegate.quant import execute
from edgegate.quant.bits import COMPARISONS
from edgegate.quant.execute import Program
from edgegate.quant.loop_runs import units
from edgegate.quant.recipe import Recipe
from edgegate.quant.recurrence import STEPS
from edgegate.quant.scalar_ops import erf

NORM = "edgegate.norm"
"""Metadata key of a node whose output a norm once normalised: ``{"mean": [...], "std": [...]}``."""
DEVIATIONS = 4.0
"""A value of known moments is expected within so many deviations of its mean: all but 6e-5 of a Gaussian.

Nagel et al. take 6; with 8 bits that costs more resolution than the tail is worth.
"""


INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What a norm guarantees of a value, per channel.

    Attributes:
        axis: The channel axis.
        mean: float64 [channels].
        std: float64 [channels], not negative.
    """

    axis: int
    mean: Array
    std: Array

    @property
    def cover(self) -> tuple[float, float]:
        """The range within which (nearly) every value of every channel lies."""
        reach = DEVIATIONS * self.std
        return float((self.mean - reach).min()), float((self.mean + reach).max())


def moments(node: ir.Node) -> Moments | None:
    """The moments of the node's output, or None if it carries none. CompileError if they cannot be."""
    text = node.metadata_props.get(NORM)
    if text is None:
        return None
    rank = len(shape(node.outputs[0]))
    axis = rank - 1 if node.op_type == "Linear" else int(attribute(node, "axis", 1)) % rank
    try:
        found = json.loads(text)
        mean, std = (np.array(found[key], np.float64) for key in ("mean", "std"))
    except (ValueError, KeyError, TypeError) as e:
        raise CompileError(where(node), f"has unreadable {NORM} metadata: {e}", "remove the metadata") from e
    channels = (shape(node.outputs[0])[axis],)
    sound = mean.shape == std.shape == channels and np.isfinite([mean, std]).all() and (std >= 0).all()
    if not sound:
        fix = "check the norm's weights for NaN and infinity"
        raise CompileError(where(node), f"has impossible {NORM} metadata", fix)
    return Moments(axis=axis, mean=mean, std=std)


def covers(model: ir.Model, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """Ranges known without looking: of the inputs, and of every value with moments; by value name."""
    inputs = recipe.input_range or (-DEVIATIONS, DEVIATIONS)
    held = {before for before, _ in states(model)}
    known = {str(v.name): inputs for v in model.graph.inputs if v.name not in held}
    known.update({str(n.outputs[0].name): m.cover for n in model.graph if (m := moments(n)) is not None})
    return known


def samples(model: ir.Model, recipe: Recipe) -> list[dict[str, Array]]:
    """``recipe.samples`` inputs for the model, the same for the same recipe.

    Values are N(0, 1), or uniform over ``recipe.input_range``. Images have the 1/f spectrum of natural
    ones: white noise would average out in the first pooling, and every sample would look the same.

    Integers are indices, uniform over what they index, and bools are as often true as not. A model that is a step gets
    one input for each of :data:`~edgegate.quant.recurrence.STEPS` steps, and no states.

    Raises:
        CompileError: An input is an integer that indexes nothing.
    """
    rng = np.random.default_rng(recipe.seed)
    held = {before for before, _ in states(model)}
    inputs = [v for v in model.graph.inputs if v.name not in held]
    count = STEPS if held else recipe.samples
    return [{str(v.name): _sample(rng, v, recipe.input_range) for v in inputs} for _ in range(count)]


def _sample(rng: np.random.Generator, value: ir.Value, bounds: tuple[float, float] | None) -> Array:
    if value.dtype in INTEGERS and (sizes := _indexed(value)):
        return rng.integers(0, min(sizes), shape(value)).astype(value.dtype.numpy())
    if value.dtype == ir.DataType.BOOL:
        return rng.integers(0, 2, shape(value)).astype(np.bool_)
    if value.dtype != ir.DataType.FLOAT:
        what = "is an integer that picks from nothing, so there is no telling what it may be"
        raise CompileError(f"input {value.name}", what, "give calibration data, or let the model take float32")
    dims = shape(value)
    spatial = len(dims) == 4 or (len(dims) == 3 and any(n.op_type == "Conv" for n, _ in value.uses()))
    noise = _pyramid(rng, dims) if spatial else rng.standard_normal(dims)
    if bounds is not None:
        low, high = bounds
        noise = low + (high - low) * (0.5 + 0.5 * erf(noise / math.sqrt(2)))
    return noise.astype(np.float32)


def _indexed(value: ir.Value) -> list[int]:
    """Lengths of the axes that ``value``, or an integer made of it, picks from."""
    sizes = []
    for node, index in value.uses():
        source = node.inputs[0]
        if node.op_type in ("Gather", "GatherElements") and index == 1 and source is not None:
            sizes.append(shape(source)[int(attribute(node, "axis", 0))])
        elif node.op_type == "OneHot" and index == 0 and (depth := array(node.inputs[1])) is not None:
            sizes.append(int(depth.reshape(-1)[0]))
        else:
            sizes += [size for v in node.outputs if v.dtype in INTEGERS for size in _indexed(v)]
    return sizes or _compared(value)


def _compared(value: ir.Value) -> list[int]:
    """One more than the constants that ``value`` is compared with: of a one-hot vector, its length."""
    others = [v for n, _ in value.uses() if n.op_type in COMPARISONS for v in n.inputs if v is not value]
    return [int(data.max()) + 1 for v in others if (data := array(v)) is not None and data.size]


def _pyramid(rng: np.random.Generator, dims: tuple[int, ...]) -> Array:
    """N(0, 1) with equal power in every octave of the axes from 2 on."""
    outer, inner = dims[:2], dims[2:]
    levels = max(d - 1 for d in inner).bit_length() + 1
    total = np.zeros(dims)
    for level in range(levels):
        noise = rng.standard_normal((*outer, *(-(-d >> level) for d in inner)))
        for axis in range(2, len(dims)):
            noise = noise.repeat(1 << level, axis=axis).take(range(dims[axis]), axis=axis)
        total += noise
    return total / math.sqrt(levels)


def run(model: ir.Model, feeds: Sequence[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
    """All values of the model over all ``feeds``, stretch by stretch, restored wherever moments are known.

    Holds, for every feed, the values that a later stretch still reads; nothing else. A model that is a step runs
    step by step instead, and nothing is restored: a state is made by all steps before.

    Yields:
        Mappings from value name to array: for each stretch and feed the values made in it. A value comes
        once per feed; one with moments comes restored.
    """
    if states(model):
        yield from execute.run(model, feeds)
        return
    alive = [dict(feed) for feed in feeds]
    yield from (dict(feed) for feed in alive)
    stretches = _stretches(list(model.graph))
    for index, nodes in enumerate(stretches):
        program = Program(model, nodes)
        later = {v.name for s in stretches[index + 1 :] for n in s for v in n.inputs if v is not None}
        target = moments(nodes[-1])
        last = str(nodes[-1].outputs[0].name)
        held = []
        for known in alive:
            made = program(known)
            if target is not None:
                held.append(made.pop(last))
            yield made
            known.update(made)
            for name in known.keys() - later:
                del known[name]
        if target is not None:
            for known, restored in zip(alive, restore(held, target), strict=True):
                yield {last: restored}
                known[last] = restored


def _stretches(nodes: list[ir.Node]) -> list[list[ir.Node]]:
    """The nodes in order, cut behind each that has moments; a loop stays whole."""
    result: list[list[ir.Node]] = []
    fresh = True
    for unit in units(nodes):
        if fresh:
            result.append([])
        result[-1] += unit
        fresh = NORM in unit[-1].metadata_props
    return result


def restore(arrays: Sequence[Array], target: Moments) -> list[Array]:
    """The arrays, each channel shifted and scaled so that over all of them it has the target's moments.

    A channel that is constant over all samples has no deviation to restore: it becomes its mean.

    Args:
        arrays: float32, same shape.
        target: The moments, and their axis.
    """
    axis = target.axis
    others = tuple(a for a in range(arrays[0].ndim) if a != axis)
    dims = [1] * arrays[0].ndim
    dims[axis] = -1
    count = sum(a.size // a.shape[axis] for a in arrays)
    mean = sum(a.sum(axis=others, dtype=np.float64) for a in arrays) / count
    # Differences from the mean are as exact in float32 as the values are; only their squares are summed in float64.
    middle = mean.astype(np.float32).reshape(dims)
    std = np.sqrt(sum(np.square(a - middle).sum(axis=others, dtype=np.float64) for a in arrays) / count)
    # Deviations within float32's rounding of the mean are noise: blowing them up would invent a signal.
    live = std > 1e-6 * (np.abs(mean) + 1e-30)
    factor = np.where(live, target.std / np.where(live, std, 1), 0.0).astype(np.float32).reshape(dims)
    goal = target.mean.astype(np.float32).reshape(dims)
    return [(a - middle) * factor + goal for a in arrays]
