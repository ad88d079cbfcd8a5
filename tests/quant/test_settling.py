"""Calibration that ends before a state has settled is told of; one that does not, is not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from edgegate.calibration import calibration
from edgegate.quant import quantize_scheme
from tests.test_long_memory import ROW, Leaky, floating

MEMORY = "'state' remembers about 1,000 steps and was still growing at the end of the 128 steps of calibration"


@pytest.mark.parametrize(
    ("decay", "steps", "told"), [(0.999, 128, MEMORY), (0.999, 4096, ""), (0.9, 128, ""), (1.0, 512, "all that was")]
)
def test_a_state_that_still_grows_is_told_of(caplog, decay: float, steps: int, told: str):
    torch.manual_seed(0)
    net = Leaky(decay)
    torch.nn.init.constant_(net.value.bias, 2.0)
    model = floating(net, ROW)
    data = np.random.default_rng(1).standard_normal((steps, *ROW), np.float32)
    with caplog.at_level(logging.WARNING, "edgegate"):
        quantize_scheme(model, calibration(model, {"": data}, 1))
    assert told in caplog.text and bool(told) == ("growing" in caplog.text)
