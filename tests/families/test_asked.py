"""Every family at a ratio of signal to noise that is asked for."""

from __future__ import annotations

import pytest

from edgegate.accuracy import Accuracy
from edgegate.compiler import integer
from edgegate.quant import Recipe, quantize_scheme
from tests.families.bench import floating, inputs
from tests.families.table import NETS

ASKED, LEAST = 31.0, 30.0
"""dB: what half of the data shows of the other, and what inputs have that no calibration saw."""


@pytest.mark.parametrize("name", NETS)
def test_every_family_has_30_decibels_where_they_are_asked_for(name: str) -> None:
    model = floating(name)[1]
    data = inputs(model, 1, 128)
    trial, fresh = Accuracy(data, integer), Accuracy(inputs(model, 2, 24), integer)
    recipe = Recipe(activation_bits=8, sqnr=ASKED)
    scheme = quantize_scheme(model, data, recipe, measure=lambda made: trial(model, made))
    assert float(str(scheme.options["sqnr_reached"])) >= ASKED
    assert fresh(model, scheme) >= LEAST
