"""The part of ``python -m tests.bench_quant`` that takes seconds: of most limits, one seed."""

from __future__ import annotations

import pytest

from tests.bench_quant_data import KINDS
from tests.bench_quant_layers import (
    Figure,
    gptq_figures,
    identity_figures,
    loss,
    nvfp4_figures,
    ratio_figures,
    rho_figures,
    sample,
)

SEEDS = (0,)


@pytest.mark.parametrize("figures", [identity_figures, ratio_figures, nvfp4_figures, gptq_figures])
def test_every_limit_is_kept(figures):
    seeds = (0, 1, 2) if figures is ratio_figures else SEEDS  # some limits are close: they are those of the mean
    missed = [f"{f.name}: {f.value:.3g}, {f.limit}" for f in figures(seeds) if not f.passed]
    assert not missed, "\n".join(missed)


def test_rho_predicts_the_ratio():
    missed = [f"{f.name}: {f.value:.3g}" for f in rho_figures(SEEDS, ("mxfp4", "nvfp4", "bfp12")) if not f.passed]
    assert not missed, "\n".join(missed)


def test_gains_lower_the_loss_of_block_floating_point():
    for kind in KINDS:
        assert loss("wush tuned", kind, 0, "bfp12") < 0.98 * loss("wush", kind, 0, "bfp12")


def test_samples_are_what_they_say():
    for kind in KINDS:
        layer = sample(kind, 0)
        assert layer.weights.shape == (256, 256) and layer.calibration.shape == layer.held_out.shape == (2048, 256)
        assert (layer.calibration != layer.held_out).any()
        assert (layer.gamma is None) == (kind == "swiglu")
        again = KINDS[kind](0)
        assert (again.weights == layer.weights).all() and (again.held_out == layer.held_out).all()


def test_a_figure_knows_its_limits():
    assert Figure(name="", value=1, least=0.5).limit == ">= 0.5"
    assert Figure(name="", value=1, least=0.5, most=2).limit == ">= 0.5, <= 2"
    assert not Figure(name="", value=3, least=0.5, most=2).passed
    assert not Figure(name="", value=float("nan"), most=2).passed
