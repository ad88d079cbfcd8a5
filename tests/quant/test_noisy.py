"""What 8 bits are too few for: told by inputs that the range was not cut to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import frontend, passes, stages
from edgegate.quant import Recipe, quantize_scheme
from edgegate.quant.histogram import ROOM, Histogram, fit
from edgegate.quant.ranges import cut

RNG = np.random.default_rng(0)


def of(x: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(x)
    return histogram


def halved(first: np.ndarray, second: np.ndarray) -> Histogram:
    halves = of(first), of(second)
    return Histogram.halved(halves, halves)


def test_the_worse_half_counts_at_its_best() -> None:
    calm, tailed = RNG.standard_normal(4000), np.append(RNG.standard_normal(4000), [30.0, -25.0])
    a, b = of(calm), of(tailed)
    ratios = {}
    for factor in ROOM:
        ways = [
            other.ratio(fit(low * factor, high * factor, "int8"))
            for (low, high), other in ((a.best("int8"), b), (b.best("int8"), a))
        ]
        ratios[factor] = min(ways)
    for histogram in (halved(calm, tailed), halved(tailed, calm)):
        factor, ratio = histogram.room("int8")
        assert (factor, ratio) == (max(ratios, key=lambda f: ratios[f]), max(ratios.values()))
        assert ratio < 32 and factor > 1


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_ranges_by_other_methods_are_left_as_they_are(method: str) -> None:
    calm, tailed = RNG.standard_normal(4000), np.append(RNG.standard_normal(4000), [30.0, -25.0])
    recipe, whole = Recipe(method=method), halved(tailed, calm)
    assert cut(whole, recipe, "int8") == cut(of(np.concatenate([calm, tailed])), recipe, "int8")


def test_few_normal_numbers_are_stored_with_room_for_others() -> None:
    rng, found = np.random.default_rng(1), []
    others = of(rng.standard_normal(100_000))
    for _ in range(20):
        whole = halved(*rng.standard_normal((2, 128)))
        ranges = whole.best("int8"), cut(whole, Recipe(), "int8")
        found.append([others.ratio(fit(*r, "int8")) for r in ranges])
    plain, roomy = np.min(found, axis=0)
    assert roomy > plain + 4


def test_of_what_was_seen_once_nothing_is_known() -> None:
    for second in (np.zeros(0), np.zeros(5)):
        assert halved(RNG.standard_normal(10), second).room("int8") == (1.0, np.inf)


class Powered(nn.Module):
    """A power of what a layer makes, and a layer."""

    def __init__(self, power: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inlet, self.out, self.power = nn.Linear(16, 16), nn.Linear(16, 4), power

    def forward(self, x):
        return self.out(self.inlet(x) ** self.power)


def storages(power: int, batches: int) -> dict[str, str]:
    """By what kind of node makes the value."""
    model: ir.Model = frontend.load(Powered(power).eval(), example=(torch.zeros(4, 16),))
    passes.run(model, passes.FLOAT, stages.floating)
    rng = np.random.default_rng(0)
    data = [{"x": rng.standard_normal((4, 16), np.float32)} for _ in range(batches)]
    values = quantize_scheme(model, data, Recipe()).values
    return {str(n.op_type): values[str(n.outputs[0].name)].dtype for n in model.graph}


def test_a_long_tail_of_few_values_gets_16_bits_and_a_short_one_does_not() -> None:
    made = {power: set(storages(power, 16).values()) for power in (1, 3)}
    assert made[1] == {"int8"}
    assert "int16" in made[3]
