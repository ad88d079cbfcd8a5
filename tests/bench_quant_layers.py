"""Losses of one layer in block formats, and the figures of :mod:`tests.bench_quant` that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat, format_named
from edgegate.quant.moments import Moments, MomentsSum, gamma_moments, weight_moments
from edgegate.quant.transforms import Transform, build, rho, rounded, tuned
from edgegate.quant.transforms.closed_form import regular
from edgegate.quant.transforms.gptq import gptq
from tests.bench_quant_data import CHANNELS, KINDS, Sample

FORMATS = (
    "mxfp4", "mxfp4-ceil", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4", "int4_g32",
    "int8_g32", "bfp12", "bfp16_quark",
)  # fmt: skip
"""Formats whose loss is compared with rho."""
MAIN = ("mxfp4", "int4_g32", "bfp12")
"""Formats of 4 bits in blocks of 32 that have limits of their own."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something measured, with what it has to be."""

    name: str
    value: float
    least: float = -np.inf
    most: float = np.inf

    @property
    def passed(self) -> bool:
        return self.least <= self.value <= self.most

    @property
    def limit(self) -> str:
        ends = (f">= {self.least:g}" if np.isfinite(self.least) else "", f"<= {self.most:g}")
        return ", ".join(end for end in ends if end and "inf" not in end)


@cache
def sample(kind: str, seed: int) -> Sample:
    return KINDS[kind](seed)


@cache
def moments(kind: str, seed: int, block: int) -> tuple[Moments, Moments]:
    """Of the calibration half of the input, and of the weights."""
    layer = sample(kind, seed)
    sums = MomentsSum(CHANNELS, block)
    sums.add(layer.calibration)
    return sums.result(), weight_moments([layer.weights], block)


def made(name: str, kind: str, seed: int, form: BlockFormat) -> Transform:
    """A transform by the benchmark's name for it: a kind, "gamma_diag", "wush tuned" (gains chosen for the format), or
    WUSH rounded: "wush 6", "wush pow2".

    "hadamard" is the orthogonal matrix of the paper, d^(-1/2) times the one of +1 and -1: a factor that is no power
    of two shifts where a block's greatest magnitude lies between two powers of two, which alone is worth 20 % of loss
    either way where scales are powers of two; it is no property of the transform.
    """
    block = form.block
    m_x, m_w = moments(kind, seed, block)
    if name == "gamma_diag":
        gamma = sample(kind, seed).gamma
        assert gamma is not None
        return build("wush_diag", gamma_moments(gamma, None, block), m_w)
    base, _, bits = name.partition(" ")
    found = build(_any(base), m_x, m_w)
    if base == "hadamard":
        root = block**0.5
        matrices, turned = found.matrices / root, found.weights_side * root
        return replace(found, matrices=matrices, weights_side=turned, diagonal=matrices[:, 0], bits=None)
    if not bits:
        return found
    if bits == "tuned":
        return tuned(found, m_x, [sample(kind, seed).weights], form)
    whole = rounded(found, "pow2" if bits == "pow2" else int(bits))
    assert whole is not None, "the rounded transform is singular"
    return whole


def _any(name: str) -> Any:
    return name


def stored(form: BlockFormat, x: Array) -> Array:
    return form.quantize(x).values()


def relative(x: Array, weights: Array, found: Array) -> float:
    """||found - x W||^2 / ||x W||^2."""
    exact = x @ weights
    return float(np.square(found - exact).sum() / np.square(exact).sum())


@cache
def loss(name: str, kind: str, seed: int, form_name: str) -> float:
    """The relative squared error of a layer on held-out input, weights and input both quantized."""
    form, layer = format_named(form_name), sample(kind, seed)
    transform = made(name, kind, seed, form)
    inputs = stored(form, transform.apply_x(layer.held_out))
    weights = stored(form, np.ascontiguousarray(transform.apply_w(layer.weights).T)).T
    return relative(layer.held_out, layer.weights, inputs @ weights)


def ratio(top: str, bottom: str, kind: str, form: str, seeds: Sequence[int]) -> float:
    """The mean over the seeds of one transform's loss over another's."""
    return float(np.mean([loss(top, kind, s, form) / loss(bottom, kind, s, form) for s in seeds]))


def ratio_figures(seeds: Sequence[int]) -> Iterator[Figure]:
    """How WUSH and its data-free and integer forms compare, format by format."""
    for form in MAIN:
        wanted: list[tuple[str, str, str, float, float]] = [
            ("wush", "hadamard", "llm", -np.inf, 0.35), ("wush", "identity", "llm", -np.inf, 0.40),
            ("wush", "hadamard", "outlier", -np.inf, 0.20), ("wush", "identity", "outlier", -np.inf, 0.20),
            ("wush", "hadamard", "gaussian", 0.96, 1.03), ("gamma_diag", "hadamard", "llm", -np.inf, 0.50),
            ("gamma_diag", "hadamard", "outlier", -np.inf, 0.22), ("wush 6", "wush", "llm", -np.inf, 1.03),
            ("wush 6", "wush", "outlier", -np.inf, 1.03),
        ]  # fmt: skip
        for top, bottom, kind, least, most in wanted:
            value = ratio(top, bottom, kind, form, seeds)
            yield Figure(name=f"{kind}, {form}: {top} / {bottom}", value=value, least=least, most=most)


def predicted(kind: str, form: str, seeds: Sequence[int]) -> float:
    return float(np.mean([rho(*moments(kind, s, format_named(form).block)) for s in seeds]))


def rho_figures(seeds: Sequence[int], forms: Sequence[str] = FORMATS) -> Iterator[Figure]:
    """The largest distance of a loss ratio from what rho says, per kind of data."""
    for kind in KINDS:
        gaps = {form: ratio("wush", "hadamard", kind, form, seeds) - predicted(kind, form, seeds) for form in forms}
        worst = max(gaps, key=lambda form: abs(gaps[form]))
        name = f"{kind}: |wush / hadamard - rho|, worst of {len(forms)} formats ({worst})"
        yield Figure(name=name, value=abs(gaps[worst]), most=0.10)


def nvfp4_figures(seeds: Sequence[int]) -> Iterator[Figure]:
    """The shape of Table 1 of arXiv 2512.00956: rotating outlier channels harms NVFP4, and WUSH does not."""
    for top, bottom, least, most in (
        ("hadamard", "identity", 1.0, np.inf),
        ("wush", "identity", -np.inf, 1.0),
        ("wush", "hadamard", -np.inf, 1.0),
    ):
        value = ratio(top, bottom, "outlier", "nvfp4", seeds)
        yield Figure(name=f"outlier, nvfp4: {top} / {bottom}", value=value, least=least, most=most)


def identity_figures(seeds: Sequence[int]) -> Iterator[Figure]:
    """T_W against the inverse of T_X, and the moments of both sides against each other, relative to the largest."""
    inverse, equal, same = 0.0, 0.0, 0.0
    for kind in KINDS:
        m_x, m_w = moments(kind, seeds[0], 32)
        found = build("wush", m_x, m_w)
        product = found.matrices @ found.weights_side.transpose(0, 2, 1)
        inverse = max(inverse, float(np.abs(product - np.eye(32)).max()))
        left, right = (
            t @ regular(m, 1e-2) @ t.transpose(0, 2, 1) for t, m in ((found.matrices, m_x), (found.weights_side, m_w))
        )
        equal = max(equal, float(np.abs(left - right).max() / np.abs(left).max()))
        layer, whole = sample(kind, seeds[0]), made("wush 6", kind, seeds[0], format_named("bfp12"))
        result = whole.apply_x(layer.held_out) @ whole.apply_w(layer.weights)
        same = max(same, relative(layer.held_out, layer.weights, result) ** 0.5)
    for name, value in (
        ("T_X T_W^T - I", inverse),
        ("T_X M_X T_X^T - T_W M_W T_W^T", equal),
        ("6-bit T: x W before and after", same),
    ):
        yield Figure(name=name, value=value, most=1e-12)


def gptq_loss(kind: Any, seed: int, form_name: str, rtn: bool) -> float:
    """Weights by GPTQ or by rounding, input quantized: the loss on held-out LLM-like input."""
    form, layer = format_named(form_name), sample("llm", seed)
    if rtn:
        transform = made(kind, "llm", seed, form)
        weights = stored(form, np.ascontiguousarray(transform.apply_w(layer.weights).T)).T
    else:
        hessian = moments("llm", seed, CHANNELS)[0].blocks[0]
        done = gptq(layer.weights, hessian, form, kind=kind)
        transform, weights = done.transform, done.values
    return relative(layer.held_out, layer.weights, stored(form, transform.apply_x(layer.held_out)) @ weights)


def feedback_loss(seed: int, form_name: str) -> float:
    """As :func:`gptq_loss` with WUSH, its matrices made once, before the first weight is rounded."""
    form, layer = format_named(form_name), sample("llm", seed)
    transform = made("wush", "llm", seed, form)
    hessian = moments("llm", seed, CHANNELS)[0].blocks[0]
    turned = transform.apply_x(transform.apply_x(hessian).T)  # symmetric: rows, then columns
    weights = gptq(transform.apply_w(layer.weights), turned, form, kind="identity").values
    return relative(layer.held_out, layer.weights, stored(form, transform.apply_x(layer.held_out)) @ weights)


def gptq_figures(seeds: Sequence[int], form: str = "mxfp4") -> Iterator[Figure]:
    """GPTQ against rounding, and interleaved with WUSH against Hadamard, LLM-like data."""
    losses: dict[tuple[str, bool], list[float]] = {
        (kind, rtn): [gptq_loss(kind, seed, form, rtn) for seed in seeds]
        for kind in ("hadamard", "wush_diag", "wush")
        for rtn in (False, True)
    }
    mean: Callable[[str, bool], float] = lambda kind, rtn: float(np.mean(losses[kind, rtn]))  # noqa: E731
    for kind in ("hadamard", "wush_diag", "wush"):
        name = f"llm, {form}: {kind}, GPTQ / rounding"
        yield Figure(name=name, value=mean(kind, False) / mean(kind, True), most=1.0)
    name = f"llm, {form}: GPTQ, wush / hadamard"
    yield Figure(name=name, value=mean("wush", False) / mean("hadamard", False), most=1.0)
    once = float(np.mean([feedback_loss(seed, form) for seed in seeds]))
    name = f"llm, {form}: GPTQ with WUSH made once / anew for every block"
    yield Figure(name=name, value=once / mean("wush", False), most=1.02)
