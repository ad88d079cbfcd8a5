"""Ranges without data: headroom where nothing is known, none where something is."""

import numpy as np
import pytest

from edgegate.quant import Recipe, Storage, quantize_scheme
from edgegate.quant.choose import Plan
from edgegate.quant.execute import run
from edgegate.quant.histogram import Histogram
from edgegate.quant.observe import observe
from edgegate.quant.ranges import HEADROOM, measured, roomy, synthesised, through_clips
from tests.quant.gated_nets import batches, gated, model


def histogram(*values: float) -> Histogram:
    made = Histogram()
    made.add(np.array(values))
    return made


def synthetic(text: str, covers: dict[str, tuple[float, float]], **seen: tuple[float, float]):  # type: ignore[no-untyped-def]
    plan = Plan.of(model(text, {}), Recipe())
    return synthesised(plan.model, plan.groups, {k: histogram(*v) for k, v in seen.items()}, covers)


def test_headroom_is_for_what_is_not_known() -> None:
    text = "g (float[1,2] x, float[1,2] z) => (float[1,2] y) { y = Add (x, z) }"
    ranges = synthetic(text, {"x": (-4.0, 4.0), "z": (0.0, 1.0)}, x=(-2, 2), z=(0, 1.5), y=(-1, 3))
    assert ranges == {"x": (-4, 4), "z": (0, 1.5), "y": (-1 * HEADROOM, 3 * HEADROOM)}


def test_headroom_does_not_shrink_a_range_on_one_side() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = Neg (x) }"
    assert synthetic(text, {"x": (0.0, 1.0)}, x=(0, 1), y=(2, 4))["y"] == (2, 6)
    assert synthetic(text, {"x": (0.0, 1.0)}, x=(0, 1), y=(-4, -2))["y"] == (-6, -2)


def test_a_function_reaches_no_further_than_over_its_input() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.unary.SiLU (x) }"
    low, high = synthetic(text, {"x": (-4.0, 4.0)}, x=(-3, 3.9), y=(-0.27, 3.8))["y"]
    assert low == pytest.approx(-0.2784645, abs=1e-5)  # the least value of SiLU
    assert high == pytest.approx(4 / (1 + np.exp(-4)))
    # Nor further than headroom allows, and never less far than was seen.
    assert synthetic(text, {"x": (-4.0, 99.0)}, x=(-3, 3.9), y=(-0.27, 3.8))["y"][1] == 3.8 * HEADROOM
    assert synthetic(text, {"x": (-1.0, 1.0)}, x=(-1, 1), y=(-0.2, 0.9))["y"][1] == 0.9


def test_a_function_that_is_undefined_there_keeps_its_headroom() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.unary.Log (x) }"
    assert synthetic(text, {"x": (-1.0, 4.0)}, x=(1, 4), y=(0, 1.25))["y"] == (0, 1.25 * HEADROOM)


def test_covers_go_through_clips() -> None:
    assert through_clips(gated(), {"mixed": (-3.0, 5.0), "x": (0.0, 1.0)})["kept"] == (0, 5)


def test_data_gets_no_headroom() -> None:
    net, data = gated(), batches()
    plan = Plan.of(net, Recipe(method="minmax"))
    seen = observe(net, run(net, data), histograms=plan.histograms(), means={})
    ranges = measured(net, plan.groups, seen.histograms, set(), plan.recipe, {"x": (-9.0, 0.0)})
    assert ranges["logits"] == (seen.histograms["logits"].low, seen.histograms["logits"].high)
    assert ranges["x"] == (-9, seen.histograms["x"].high)


def test_16_bits_have_twice_the_room() -> None:
    ranges = {"a": (-1.0, 3.0), "b": (0.0, 5.0)}
    assert roomy(gated(), ranges, {"a"}) == {"a": (-2, 6), "b": (0, 5)}
    for data in (batches(), None):
        seen = quantize_scheme(gated(), data, Recipe(method="minmax")).values["logits"]
        wide = quantize_scheme(gated(), data, Recipe(method="minmax", int16=("logits",))).values["logits"]
        assert wide.real_high / max(seen.real_high, -seen.real_low) == pytest.approx(2, rel=0.01)


def test_a_constant_in_16_bits_is_known() -> None:
    net = model("g (float[1,4] x) => (float[1,4] y) { y = Add (x, c) }", {"c": np.array([1, 2, 3, 4], np.float32)})
    made = quantize_scheme(net, [{"x": np.ones((1, 4), np.float32)}], Recipe(int16=("c", "x")))
    assert made.values["c"] == Storage(dtype="int16", scale=4 / 32767)
    assert made.values["x"] == Storage(dtype="int16", scale=2 / 32767)


def test_the_same_net_without_data_covers_the_data() -> None:
    free = quantize_scheme(gated(norms=False), None)
    for values in run(gated(norms=False), batches(16)):
        for name in ("value", "gate", "product", "kept", "pooled"):
            assert free.values[name].real_low - free.values[name].scale <= values[name].min()
            assert values[name].max() <= free.values[name].real_high + free.values[name].scale
