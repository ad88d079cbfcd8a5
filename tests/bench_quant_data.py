"""Layers for :mod:`tests.bench_quant`: weights, an input to calibrate with, another to measure on, and a norm's gains.

The four kinds are those of the WUSH paper's motivation: Gaussian, a few loud channels, LLM-like, and the input of a
SwiGLU's down projection. Their free parameters were set by the predictor rho alone, which says what a transform can
gain (d = 32: 0.96, 0.14, 0.24, 0.60), and the limits of the figures belong to these: loud channels of 10 to 40 times
the others, for one, have rho 0.16 and WUSH/H of 0.21.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array

CHANNELS, OUTPUTS, VECTORS = 256, 256, 2048
FACTORS = (20.0, 27.0, 33.0, 40.0)
"""What outlier channels are larger by: one channel in 64."""
RANK, SHARED = 16, 0.75
"""Of LLM-like data: latent factors, and the part of a channel's variance that comes from them."""
SPREAD = 0.4
"""Standard deviation of the logarithm of ordinary gains."""
GATES = 0.6
"""Standard deviation of the logarithm of gate rows' sizes."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One layer: weights [K, N], two inputs [vectors, K] of one distribution, gains [K] if a norm comes before."""

    weights: Array
    calibration: Array
    held_out: Array
    gamma: Array | None


def _sample(generator: np.random.Generator, inputs: Array, gamma: Array | None) -> Sample:
    weights = generator.standard_normal((CHANNELS, OUTPUTS)) / np.sqrt(CHANNELS)
    return Sample(weights=weights, calibration=inputs[:VECTORS], held_out=inputs[VECTORS:], gamma=gamma)


def _outlier_gains(generator: np.random.Generator, part: float = 1.0) -> Array:
    """1, and ``part`` of one of ``FACTORS`` at a random place of every 64 channels."""
    gains = np.ones(CHANNELS)
    gains[np.arange(len(FACTORS)) * 64 + generator.integers(0, 64, len(FACTORS))] = part * generator.permutation(
        FACTORS
    )
    return gains


def _isotropic(generator: np.random.Generator) -> Array:
    return generator.standard_normal((2 * VECTORS, CHANNELS))


def _correlated(generator: np.random.Generator) -> Array:
    """What a norm makes of hidden states: ``RANK`` latent Student t (5 degrees) factors and noise, both of heavy tails.

    A channel takes ``SHARED`` of its variance from the factors, by loadings that decay with the factor's number; every
    vector is scaled to the mean square 1, as RMSNorm does.
    """
    loadings = generator.standard_normal((RANK, CHANNELS)) / np.sqrt(np.arange(1, RANK + 1))[:, None]
    loadings *= np.sqrt(SHARED / np.square(loadings).sum(axis=0))
    noise = generator.standard_t(5, (2 * VECTORS, CHANNELS)) * np.sqrt(1 - SHARED)
    hidden = generator.standard_t(5, (2 * VECTORS, RANK)) @ loadings + noise
    return hidden / np.sqrt(np.square(hidden).mean(axis=1, keepdims=True))


def gaussian(seed: int) -> Sample:
    """No structure, the control: independent normal channels and weights."""
    generator = np.random.default_rng([seed, 0])
    return _sample(generator, _isotropic(generator), np.ones(CHANNELS))


def outlier(seed: int) -> Sample:
    """Diagonal moments: normal channels of variance 1, one in 64 of them 20 to 40 times larger."""
    generator = np.random.default_rng([seed, 1])
    gains = _outlier_gains(generator)
    return _sample(generator, _isotropic(generator) * gains, gains)


def llm(seed: int) -> Sample:
    """Correlated heavy-tailed hidden states after a norm of lognormal gains, one in 64 of them 10 to 20 fold."""
    generator = np.random.default_rng([seed, 2])
    gains = _outlier_gains(generator, 0.5) * np.exp(SPREAD * generator.standard_normal(CHANNELS))
    return _sample(generator, _correlated(generator) * gains, gains)


def swiglu(seed: int) -> Sample:
    """The input of a down projection, ``silu(g) * u``: g and u are projections of one correlated hidden state.

    The rows of the gate projection differ in size, lognormally, as trained ones do: some gates are nearly linear,
    others nearly always shut. No norm comes before.
    """
    generator = np.random.default_rng([seed, 3])
    hidden = _correlated(generator)
    sizes = np.exp(GATES * generator.standard_normal(CHANNELS))
    gate, up = (hidden @ generator.standard_normal((CHANNELS, CHANNELS)) / np.sqrt(CHANNELS) for _ in range(2))
    return _sample(generator, gate * sizes / (1 + np.exp(-gate * sizes)) * up, None)


KINDS: dict[str, Callable[[int], Sample]] = {"gaussian": gaussian, "outlier": outlier, "llm": llm, "swiglu": swiglu}
