"""The free factor of every block: ``c T_X`` and ``T_W / c`` are the same layer, and powers of two see the difference.

Where a scale is a power of two, a block whose greatest magnitude lies just above one wastes a bit of every value.
After WUSH all coordinates of a block have one variance, so that all vectors waste it together. The factor within
[1, 2) moves both sides; the best one costs nothing on line and saves up to a sixth of the loss of block floating point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat
from edgegate.quant.moments import Moments
from edgegate.quant.transforms.closed_form import DAMPING, regular
from edgegate.quant.transforms.transform import Transform

STEPS = 8
"""Factors that are tried: 2^(i / STEPS)."""
SAMPLES = 256
"""Vectors that are drawn, and outputs that are looked at."""


def tuned(
    transform: Transform, m_x: Moments, weights: Sequence[Array], form: BlockFormat, *,
    x_form: BlockFormat | None = None, unit: float = 1.0,
) -> Transform:  # fmt: skip
    """The transform with the factor of every block that loses least; before rounding to integers.

    The loss of a factor is measured on normal vectors of the input's second moments, drawn anew with the same seed:
    what the input's rounding does to the outputs, and the weights' rounding, block by block.

    Args:
        transform: "wush" or "wush_diag", not rounded. Others have no factor to choose, and are returned as they are.
        m_x: Moments of the input, as the transform was built from.
        weights: [K, N] each, all that read the input.
        form: The format of the weights. Its block divides the transform's.
        x_form: The format of the input; None for the weights'.
        unit: The real value of one step where the input is integers, which are quantized as they are.

    Raises:
        ValueError: Shapes that do not fit, or a format whose block does not divide the transform's.
    """
    inputs = form if x_form is None else x_form
    _check(transform, m_x, weights, (form, inputs), unit)
    if transform.integer or transform.kind == "identity" or not (form.power_of_two or inputs.power_of_two):
        return transform
    covariance = transform.matrices @ regular(m_x, DAMPING**2) @ transform.matrices.transpose(0, 2, 1)
    count, order = covariance.shape[:2]
    turned = np.concatenate([transform.apply_w(_some(w)) for w in weights], axis=1)
    outputs = turned.reshape(count, order, -1)
    draws = np.random.default_rng(0).standard_normal((count, order, SAMPLES))
    vectors = np.linalg.cholesky((covariance + covariance.transpose(0, 2, 1)) / 2) @ draws
    importance = outputs @ outputs.transpose(0, 2, 1) / outputs.shape[2]
    factors = 2.0 ** (np.arange(STEPS) / STEPS)
    losses = np.stack(
        [
            _energy(_error(inputs, vectors, factor / unit), importance)
            + _energy(_error(form, outputs, 1 / factor), covariance)
            for factor in factors
        ]
    )
    return scaled(transform, factors[losses.argmin(axis=0)])


def scaled(transform: Transform, factors: Array) -> Transform:
    """``c T_X`` and ``T_W / c`` with a factor for every block, [n], positive."""
    wide = factors[:, None, None]
    diagonal = None if transform.diagonal is None else transform.diagonal * factors[:, None]
    matrices, turned = transform.matrices * wide, transform.weights_side / wide
    return replace(transform, matrices=matrices, weights_side=turned, diagonal=diagonal)


def _check(
    transform: Transform, m_x: Moments, weights: Sequence[Array], forms: Sequence[BlockFormat], unit: float
) -> None:
    if m_x.blocks.shape != transform.matrices.shape or any(len(w) != transform.channels for w in weights):
        raise ValueError(f"moments {list(m_x.blocks.shape)} or weights do not fit {transform.channels} channels")
    for form in forms:
        if transform.block % form.block:
            raise ValueError(f"a transform of {transform.block} channels is no multiple of {form.name}'s {form.block}")
    if not weights or not 0 < unit < np.inf:
        raise ValueError(f"{len(weights)} weights and a unit of {unit}: there must be one, and the unit positive")


def _some(weights: Array) -> Array:
    """At most ``SAMPLES`` outputs, evenly spread."""
    step = -(-weights.shape[1] // SAMPLES)
    return weights[:, ::step]


def _error(form: BlockFormat, values: Array, factor: float) -> Array:
    """What quantizing ``factor * values`` [n, d, vectors] along the channels loses, in units of the values."""
    count, order, vectors = values.shape
    rows = np.ascontiguousarray(values.transpose(2, 0, 1)).reshape(vectors, count * order)
    found = form.quantize(rows * factor).values() / factor - rows
    return found.reshape(vectors, count, order).transpose(1, 2, 0)


def _energy(errors: Array, metric: Array) -> Array:
    """The mean of ``e^T M e`` over the vectors e: [n]."""
    return (errors * (metric @ errors)).sum(axis=(1, 2)) / errors.shape[2]
